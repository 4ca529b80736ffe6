/* Preloaded into user-mode Linux before 6.16, on processors whose registers need more room than it has.
 *
 * Those kernels keep a thread's floating point registers in 2,696 octets and set them by PTRACE_SETREGSET. The host accepts
 * that only for the whole area (xstateregs_set: EFAULT otherwise), which is 11,008 octets where there are AMX tiles. Reading
 * gives such a kernel the part that it knows; writing puts that part over what the thread has, and leaves the rest alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { WHOLE_MAX = 64 << 10 };

typedef long tracing(int request, pid_t pid, void *address, void *data);

static unsigned char whole[WHOLE_MAX];

static long whole_area(tracing *real, int request, pid_t pid, size_t *size)
{
	struct iovec all = { whole, *size };
	long result = real(request, pid, (void *)NT_X86_XSTATE, &all);

	*size = all.iov_len;
	return result;
}

long ptrace(enum __ptrace_request request, ...)
{
	static tracing *real;
	va_list more;
	pid_t pid;
	void *address, *data;
	struct iovec *part;
	size_t size = WHOLE_MAX;
	long result;

	va_start(more, request);
	pid = va_arg(more, pid_t);
	address = va_arg(more, void *);
	data = va_arg(more, void *);
	va_end(more);
	if (real == NULL)
		real = (tracing *)dlsym(RTLD_NEXT, "ptrace");
	if ((long)address != NT_X86_XSTATE || (request != PTRACE_GETREGSET && request != PTRACE_SETREGSET))
		return real(request, pid, address, data);
	result = whole_area(real, PTRACE_GETREGSET, pid, &size);
	if (result != 0)
		return result;
	part = data;
	if (part->iov_len > size)
		part->iov_len = size;
	if (request == PTRACE_GETREGSET) {
		memcpy(part->iov_base, whole, part->iov_len);
		return 0;
	}
	memcpy(whole, part->iov_base, part->iov_len);
	return whole_area(real, PTRACE_SETREGSET, pid, &size);
}
