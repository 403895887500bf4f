// kgen: a light load generator on librdkafka. The last line of output is JSON.
//
//  tput     -n COUNT -s SIZE          produce COUNT records as fast as possible
//  small    -P PRODUCERS -d SECONDS   one record per request, PRODUCERS producers
//  consume  -n COUNT                  COUNT records from the beginning, as fast as possible
//  e2e      -r RATE -d SECONDS        a fixed rate; time from send() to the consumer's poll
//
// All take -b BOOTSTRAP -t TOPIC -p PARTITIONS -s SIZE and -X key=value for producers.
#define _GNU_SOURCE
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROPERTIES 64
#define MAX_PRODUCERS 256
#define POOL_SIZE (16 << 20)
#define MAX_RECORD (64 << 10)
#define E2E_WARMUP_S 2

static const char *brokers, *topic;
static int size = 1024, partitions = 6, producers = 16, rate = 10000, seconds = 10;
static long count = 1000000;
static const char *keys[MAX_PROPERTIES], *values[MAX_PROPERTIES];
static int properties;

static atomic_long delivered, failed, received;
static atomic_int stopping;
static char *pool;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static double cpu_s(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void die(const char *why) {
    fprintf(stderr, "kgen: %s\n", why);
    exit(1);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    (void)rk;
    (void)opaque;
    if (message->err)
        failed++;
    else
        delivered++;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error))
        die(error);
}

// A client; `pairs` are keys and values up to a NULL.
static rd_kafka_t *client(rd_kafka_type_t type, const char *const *pairs) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    for (; pairs[0]; pairs += 2)
        set(conf, pairs[0], pairs[1]);
    if (type == RD_KAFKA_PRODUCER) {
        for (int i = 0; i < properties; i++)
            set(conf, keys[i], values[i]);
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    }
    char error[512];
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    if (!rk)
        die(error);
    return rk;
}

// Payload that compresses about as text does.
static void fill_pool(void) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789 etaoin";
    pool = malloc(POOL_SIZE + MAX_RECORD);
    uint64_t x = 88172645463325252ull;
    for (size_t i = 0; i < POOL_SIZE + MAX_RECORD; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        pool[i] = letters[(x >> 20) % (sizeof letters - 1)];
    }
}

static void report_rate(long records, double took) {
    printf("{\"records\":%ld,\"failed\":%ld,\"seconds\":%.3f,\"rec_s\":%.0f,\"mb_s\":%.2f,"
           "\"client_cpu_s\":%.3f}\n",
           records, (long)failed, took, records / took, records / took * size / 1e6, cpu_s());
    fflush(stdout);
}

static int tput(void) {
    const char *own[] = {"queue.buffering.max.messages", "500000", "queue.buffering.max.kbytes",
                         "262144", NULL};
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, own);
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    size_t at = 0;
    uint64_t began = now_ns();
    for (long i = 0; i < count; i++) {
        while (rd_kafka_produce(t, RD_KAFKA_PARTITION_UA, 0, pool + at, size, NULL, 0, NULL))
            rd_kafka_poll(rk, 5);
        at = (at + size) % POOL_SIZE;
        if (i % 500 == 0)
            rd_kafka_poll(rk, 0);
    }
    rd_kafka_flush(rk, 120000);
    report_rate(delivered, (now_ns() - began) / 1e9);
    return failed != 0 || delivered != count;
}

static void *small_producer(void *unused) {
    (void)unused;
    const char *own[] = {"batch.num.messages",           "1",   "linger.ms", "0",
                         "queue.buffering.max.messages", "200", NULL};
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, own);
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    size_t at = 0;
    while (!stopping) {
        if (rd_kafka_produce(t, RD_KAFKA_PARTITION_UA, 0, pool + at, size, NULL, 0, NULL)) {
            rd_kafka_poll(rk, 5);
        } else {
            at = (at + 997) % POOL_SIZE;
            rd_kafka_poll(rk, 0);
        }
    }
    rd_kafka_flush(rk, 30000);
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(rk);
    return NULL;
}

static int small(void) {
    pthread_t threads[MAX_PRODUCERS];
    uint64_t began = now_ns();
    for (int i = 0; i < producers; i++)
        pthread_create(&threads[i], NULL, small_producer, NULL);
    sleep(seconds);
    stopping = 1;
    for (int i = 0; i < producers; i++)
        pthread_join(threads[i], NULL);
    report_rate(delivered, (now_ns() - began) / 1e9);
    return failed != 0;
}

// A consumer of all partitions from their beginning.
static rd_kafka_t *consumer(const char *const *own) {
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, own);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, list);
    return rk;
}

static int consume(void) {
    enum { BATCH = 4096, PATIENCE = 300 };
    const char *own[] = {"group.id",
                         "kgen-consume",
                         "enable.auto.commit",
                         "false",
                         "queued.min.messages",
                         "1000000",
                         "fetch.message.max.bytes",
                         "8388608",
                         NULL};
    uint64_t began = now_ns();
    rd_kafka_t *rk = consumer(own);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_message_t *messages[BATCH];
    long got = 0;
    for (int idle = 0; got < count && idle < PATIENCE;) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH);
        idle = n > 0 ? 0 : idle + 1;
        for (ssize_t i = 0; i < n; i++) {
            got += !messages[i]->err;
            rd_kafka_message_destroy(messages[i]);
        }
    }
    report_rate(got, (now_ns() - began) / 1e9);
    // Ending cleanly would wait for fetches that nobody wants.
    _exit(got < count);
}

static uint64_t *latencies, measure_from;
static long measured, capacity;

static void *e2e_consumer(void *unused) {
    (void)unused;
    const char *own[] = {"group.id",          "kgen-e2e", "enable.auto.commit", "false",
                         "fetch.wait.max.ms", "500",      "fetch.min.bytes",    "1",
                         NULL};
    rd_kafka_t *rk = consumer(own);
    while (!stopping) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (!message)
            continue;
        if (!message->err && message->len >= sizeof(uint64_t)) {
            uint64_t sent, at = now_ns();
            memcpy(&sent, message->payload, sizeof sent);
            received++;
            if (sent >= measure_from && measured < capacity)
                latencies[measured++] = at - sent;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(double q) {
    return measured ? latencies[(long)((measured - 1) * q)] / 1e6 : -1;
}

static int e2e(void) {
    capacity = (long)rate * (seconds + 5);
    latencies = malloc(capacity * sizeof *latencies);
    measure_from = UINT64_MAX;
    pthread_t reader;
    pthread_create(&reader, NULL, e2e_consumer, NULL);
    sleep(1);
    const char *own[] = {"linger.ms", "0", NULL};
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, own);
    rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);
    uint64_t began = now_ns(), end = began + (uint64_t)(E2E_WARMUP_S + seconds) * 1000000000ull;
    measure_from = began + E2E_WARMUP_S * 1000000000ull;
    long sent = 0;
    for (uint64_t now = began; now < end; now = now_ns()) {
        long due = (long)((now - began) * (double)rate / 1e9);
        for (; sent < due; sent++) {
            uint64_t stamp = now_ns();
            memcpy(pool, &stamp, sizeof stamp);
            int32_t partition = (int32_t)(sent % partitions);
            if (rd_kafka_produce(t, partition, RD_KAFKA_MSG_F_COPY, pool, size, NULL, 0, NULL)) {
                rd_kafka_poll(rk, 1);
                break;
            }
        }
        rd_kafka_poll(rk, 0);
        struct timespec pause = {0, 500000};
        nanosleep(&pause, NULL);
    }
    rd_kafka_flush(rk, 10000);
    for (int i = 0; i < 50 && received < sent; i++)
        usleep(100000);
    stopping = 1;
    pthread_join(reader, NULL);
    qsort(latencies, measured, sizeof *latencies, ascending);
    printf("{\"records\":%ld,\"failed\":%ld,\"received\":%ld,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"p999_ms\":%.3f,\"client_cpu_s\":%.3f}\n",
           sent, (long)failed, (long)received, quantile_ms(.5), quantile_ms(.99),
           quantile_ms(.999), cpu_s());
    return received < sent;
}

static void add_property(char *text) {
    char *value = strchr(text, '=');
    if (!value || properties == MAX_PROPERTIES)
        die("-X key=value");
    *value = 0;
    keys[properties] = text;
    values[properties++] = value + 1;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    optind = 2;
    for (int option; (option = getopt(argc, argv, "b:t:n:s:P:d:p:r:X:")) != -1;) {
        switch (option) {
        case 'b': brokers = optarg; break;
        case 't': topic = optarg; break;
        case 'n': count = atol(optarg); break;
        case 's': size = atoi(optarg); break;
        case 'P': producers = atoi(optarg); break;
        case 'd': seconds = atoi(optarg); break;
        case 'p': partitions = atoi(optarg); break;
        case 'r': rate = atoi(optarg); break;
        case 'X': add_property(optarg); break;
        default: return 2;
        }
    }
    if (!brokers || !topic || producers > MAX_PRODUCERS || size > MAX_RECORD)
        die("-b, -t, and sizes within limits");
    fill_pool();
    if (!strcmp(mode, "tput"))
        return tput();
    if (!strcmp(mode, "small"))
        return small();
    if (!strcmp(mode, "consume"))
        return consume();
    if (!strcmp(mode, "e2e"))
        return e2e();
    die("tput, small, consume or e2e");
}
