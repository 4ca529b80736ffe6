/* The floor: what batched writes of remote MACs cost the kernel when next to nothing is spent on making them.
 *
 * floor DEVICE MACS BATCH: adds the MACs behind 10.0.0.1, moves them to 10.0.0.2, deletes them, in the messages and batches
 * of the product: one CREATE|EXCL of both halves, one REPLACE, two deletions; the last message of a batch is acknowledged.
 * Prints for each of the three nanoseconds of wall and of CPU, and how many messages were refused.
 */
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef NTF_EXT_LEARNED
#define NTF_EXT_LEARNED 0x10
#endif

struct row {
	struct nlmsghdr header;
	struct ndmsg neighbour;
	struct nlattr mac_attribute;
	uint8_t mac[8];
	struct nlattr vtep_attribute;
	uint8_t vtep[4];
};

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static char *put(char *at, int type, int flags, int device, int half, uint32_t number, int vtep, uint32_t seq)
{
	struct row row = {
		.header = { .nlmsg_len = vtep ? sizeof row : sizeof row - 8, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = seq },
		.neighbour = { .ndm_family = AF_BRIDGE, .ndm_ifindex = device, .ndm_state = vtep ? NUD_NOARP | NUD_PERMANENT : 0, .ndm_flags = half },
		.mac_attribute = { 10, NDA_LLADDR },
		.mac = { 2, 0, number >> 24, number >> 16, number >> 8, number },
		.vtep_attribute = { 8, NDA_DST },
		.vtep = { 10, 0, 0, vtep },
	};

	memcpy(at, &row, row.header.nlmsg_len);
	return at + row.header.nlmsg_len;
}

/* Returns how many were refused, having read every answer up to that to the last message. */
static long answers(int kernel, uint32_t last)
{
	static char buffer[1 << 18];
	long refused = 0;

	for (;;) {
		int size = recv(kernel, buffer, sizeof buffer, 0);

		if (size < 0) {
			perror("recv");
			exit(1);
		}
		for (struct nlmsghdr *answer = (void *)buffer; NLMSG_OK(answer, size); answer = NLMSG_NEXT(answer, size)) {
			if (answer->nlmsg_type != NLMSG_ERROR)
				continue;
			refused += ((struct nlmsgerr *)NLMSG_DATA(answer))->error != 0;
			if (answer->nlmsg_seq == last)
				return refused;
		}
	}
}

int main(int count, char **words)
{
	if (count != 4)
		return 2;
	int device = if_nametoindex(words[1]), macs = atoi(words[2]), batch = atoi(words[3]), room = 4 << 20;
	int kernel = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	const int both = NTF_SELF | NTF_MASTER | NTF_EXT_LEARNED;
	char *messages = malloc(batch * 2 * sizeof(struct row));
	uint32_t seq = 0;

	setsockopt(kernel, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	for (int what = 0; what < 3; what++) {
		long long wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		long refused = 0;

		for (int first = 0; first < macs; first += batch) {
			char *end = messages, *last = messages;

			for (int number = first; number < first + batch && number < macs; number++) {
				last = end;
				if (what == 0)
					end = put(end, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, device, both, number, 1, ++seq);
				else if (what == 1)
					end = put(end, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, device, both, number, 2, ++seq);
				else {
					last = put(end, RTM_DELNEIGH, 0, device, NTF_MASTER, number, 0, ++seq);
					end = put(last, RTM_DELNEIGH, 0, device, NTF_SELF, number, 0, ++seq);
				}
			}
			((struct nlmsghdr *)last)->nlmsg_flags |= NLM_F_ACK;
			if (send(kernel, messages, end - messages, 0) < 0) {
				perror("send");
				return 1;
			}
			refused += answers(kernel, seq);
		}
		printf("%lld %lld %ld\n", now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, refused);
	}
	return 0;
}
