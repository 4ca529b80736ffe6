/* The least that a program can do to write, move and delete the routes of a VRF: messages made of nothing, in batches, by nexthops.
 *
 *     floor_routes DEVICE ROUTES BATCH
 *
 * Prints for add, move and delete: nanoseconds of wall time, of CPU time, and how many were refused. Table 1001, IPv4 /32, 64 nexthops.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { VTEPS = 64, TABLE = 1001, METRIC = 229, PROTOCOL = 229, FIRST_NEXTHOP = 100 };

static int netlink, in_batch, batch, refused;
static char buffer[1 << 20];
static size_t filled;
static unsigned sequence;
static struct nlmsghdr *last;

static long long now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void put(int type, const void *value, int size)
{
    struct rtattr *attribute = (void *)((char *)last + NLMSG_ALIGN(last->nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), value, size);
    last->nlmsg_len = NLMSG_ALIGN(last->nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static void *begin(int type, int flags, int size)
{
    last = (void *)(buffer + filled);
    memset(last, 0, NLMSG_SPACE(size));
    last->nlmsg_type = type;
    last->nlmsg_flags = NLM_F_REQUEST | flags;
    last->nlmsg_seq = ++sequence;
    last->nlmsg_len = NLMSG_LENGTH(size);
    return NLMSG_DATA(last);
}

static void flush(void)
{
    static char answers[1 << 16];
    if (!filled)
        return;
    last->nlmsg_flags |= NLM_F_ACK;
    if (send(netlink, buffer, filled, 0) < 0)
        exit(1);
    for (int done = 0; !done;) {
        int size = recv(netlink, answers, sizeof answers, 0);
        if (size < 0)
            exit(1);
        for (struct nlmsghdr *one = (void *)answers; NLMSG_OK(one, size); one = NLMSG_NEXT(one, size)) {
            refused += one->nlmsg_type == NLMSG_ERROR && *(int *)NLMSG_DATA(one);
            done |= one->nlmsg_seq == sequence;
        }
    }
    filled = in_batch = 0;
}

static void end(void)
{
    filled += NLMSG_ALIGN(last->nlmsg_len);
    if (++in_batch >= batch)
        flush();
}

static void nexthop(unsigned number, unsigned device)
{
    struct nhmsg *head = begin(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE, sizeof *head);
    unsigned id = FIRST_NEXTHOP + number, gateway = htonl(0x0a000002 + number);
    head->nh_family = AF_INET;
    head->nh_protocol = PROTOCOL;
    head->nh_flags = RTNH_F_ONLINK;
    put(NHA_ID, &id, 4);
    put(NHA_GATEWAY, &gateway, 4);
    put(NHA_OIF, &device, 4);
    end();
}

static void route(int type, int flags, unsigned number, unsigned nexthop)
{
    struct rtmsg *head = begin(type, flags, sizeof *head);
    unsigned to = htonl(0x0b000000 + number), table = TABLE, metric = METRIC, id = FIRST_NEXTHOP + nexthop;
    head->rtm_family = AF_INET;
    head->rtm_dst_len = 32;
    head->rtm_protocol = PROTOCOL;
    head->rtm_type = RTN_UNICAST;
    put(RTA_DST, &to, 4);
    put(RTA_TABLE, &table, 4);
    put(RTA_PRIORITY, &metric, 4);
    if (type == RTM_NEWROUTE)
        put(RTA_NH_ID, &id, 4);
    end();
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    unsigned device = if_nametoindex(words[1]), routes = atoi(words[2]);
    int flags[] = {NLM_F_CREATE | NLM_F_EXCL, NLM_F_CREATE | NLM_F_REPLACE, 0};
    batch = atoi(words[3]);
    netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    for (unsigned number = 0; number < VTEPS; number++)
        nexthop(number, device);
    flush();
    for (int step = 0; step < 3; step++) {
        long long wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        for (unsigned number = 0; number < routes; number++)
            route(step == 2 ? RTM_DELROUTE : RTM_NEWROUTE, flags[step], number, (number % VTEPS + step) % VTEPS);
        flush();
        printf("%lld %lld %d\n", now(CLOCK_MONOTONIC) - wall, now(CLOCK_PROCESS_CPUTIME_ID) - cpu, refused);
        refused = 0;
    }
    return 0;
}
