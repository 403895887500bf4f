/* netdelay MILLISECONDS JITTER: lets the packets of queue 7 pass after a delay, in their order.
 * Stands in for tc's netem where the kernel has none. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>

enum { QUEUE = 7, ROOM = 1 << 16, HEADERS = 64 };

static struct {
    uint32_t id;
    int64_t due;
} waiting[ROOM];
static unsigned first, next;
static double delay_ms, jitter_ms;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int arrived(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *unused)
{
    (void)message;
    (void)unused;
    uint32_t id = ntohl(nfq_get_msg_packet_hdr(packet)->packet_id);
    if (next - first == ROOM)
        return nfq_set_verdict(queue, id, NF_DROP, 0, NULL);
    double wait_ms = delay_ms + (2 * drand48() - 1) * jitter_ms;
    waiting[next % ROOM].id = id;
    waiting[next % ROOM].due = now() + (int64_t)(wait_ms * 1e6);
    next++;
    return 0;
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    delay_ms = atof(words[1]);
    jitter_ms = atof(words[2]);
    struct nfq_handle *handle = nfq_open();
    struct nfq_q_handle *queue = handle ? nfq_create_queue(handle, QUEUE, arrived, NULL) : NULL;
    if (!queue || nfq_set_mode(queue, NFQNL_COPY_PACKET, HEADERS) < 0)
        return 1;
    nfq_set_queue_maxlen(queue, ROOM);
    int file = nfq_fd(handle);
    char buffer[8192] __attribute__((aligned(8)));
    for (;;) {
        int64_t wait = first == next ? 1000000000LL : waiting[first % ROOM].due - now();
        if (wait < 0)
            wait = 0;
        struct timespec limit = {wait / 1000000000LL, wait % 1000000000LL};
        struct pollfd poll_file = {file, POLLIN, 0};
        if (ppoll(&poll_file, 1, &limit, NULL) > 0) {
            ssize_t length = recv(file, buffer, sizeof buffer, 0);
            if (length > 0)
                nfq_handle_packet(handle, buffer, (int)length);
            else if (errno != ENOBUFS && errno != EINTR)
                return 1;
        }
        for (int64_t time = now(); first != next && waiting[first % ROOM].due <= time; first++)
            nfq_set_verdict(queue, waiting[first % ROOM].id, NF_ACCEPT, 0, NULL);
    }
}
