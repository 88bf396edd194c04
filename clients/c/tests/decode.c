/*
 * Prints what the header makes of packets, in the words of packet/vectors/expected.txt.
 *
 *     decode FILE.hex ...        the pinned vectors, hexadecimal digits
 *     decode -                   a stream of bytes on stdin
 *     decode --garbage SEED N    N bytes of garbage with frames in between: must come through
 */
#include <stdio.h>
#include <stdlib.h>

#include "neuralsmpl_packet.h"

static void number(const char *name, uint64_t value)
{
    printf("%s %llu\n", name, (unsigned long long)value);
}

static void floats(const char *name, const float *values, unsigned count)
{
    printf("%s", name);
    for (unsigned i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        printf(" %08lx", (unsigned long)bits);
    }
    printf("\n");
}

static void bytes(const char *name, const uint8_t *values, unsigned count)
{
    printf("%s", name);
    for (unsigned i = 0; i < count; i++) printf(" %u", values[i]);
    printf("\n");
}

static void header(const char *kind, uint32_t sequence, uint64_t time_us)
{
    printf("kind %s\n", kind);
    number("sequence", sequence);
    number("time_us", time_us);
}

static void print_pose(const struct nsmpl_pose *p)
{
    float wxyz[4 * NSMPL_JOINTS];
    header("pose", p->sequence, p->time_us);
    number("person_id", p->person_id);
    number("flags", p->flags);
    number("backend", p->backend);
    number("model_id", p->model_id);
    number("latency_us", p->latency_us);
    floats("translation", p->translation, 3);
    printf("rotations");
    for (unsigned joint = 0; joint < NSMPL_JOINTS; joint++) {
        const struct nsmpl_quaternion q = nsmpl_quaternion_of(p->rotations[joint]);
        wxyz[4 * joint] = q.w;
        wxyz[4 * joint + 1] = q.x;
        wxyz[4 * joint + 2] = q.y;
        wxyz[4 * joint + 3] = q.z;
        printf(" %llu", (unsigned long long)p->rotations[joint]);
    }
    printf("\n");
    bytes("confidence", p->confidence, NSMPL_JOINTS);
    number("fit_quality", p->fit_quality);
    number("fit_steps", p->fit_steps);
    floats("rotations_wxyz", wxyz, 4 * NSMPL_JOINTS);
    bytes("visibility_by_joint", p->visibility, NSMPL_JOINTS);
}

static void print_subject(const struct nsmpl_subject *s)
{
    header("subject", s->sequence, s->time_us);
    number("person_id", s->person_id);
    number("flags", s->flags);
    number("model_id", s->model_id);
    printf("image_size %u %u\n", s->image_size[0], s->image_size[1]);
    floats("focal", s->focal, 2);
    floats("centre", s->centre, 2);
    floats("distortion", s->distortion, 5);
    floats("betas", s->betas, NSMPL_BETAS);
}

static void print_status(const struct nsmpl_status *s)
{
    header("status", s->sequence, s->time_us);
    number("uptime_s", s->uptime_s);
    number("frames_captured", s->frames_captured);
    number("frames_fitted", s->frames_fitted);
    printf("drops");
    for (unsigned i = 0; i < 5; i++) printf(" %lu", (unsigned long)s->drops[i]);
    printf("\n");
    floats("frame_rate_hz", &s->frame_rate_hz, 1);
    number("memory_kib", s->memory_kib);
    number("pool_peak_kib", s->pool_peak_kib);
    number("pool_kib", s->pool_kib);
    number("faults", s->faults);
    printf("temperature_centi_c %d\n", s->temperature_centi_c);
    number("backend", s->backend);
    number("persons", s->persons);
}

static void print_payload(const uint8_t *payload, size_t len)
{
    struct nsmpl_message message;
    const enum nsmpl_result result = nsmpl_parse(payload, len, &message);
    if (result != NSMPL_OK) {
        printf("refused %s\n", nsmpl_result_name(result));
        return;
    }
    switch (message.kind) {
    case NSMPL_POSE: print_pose(&message.as.pose); break;
    case NSMPL_SUBJECT: print_subject(&message.as.subject); break;
    case NSMPL_STATUS: print_status(&message.as.status); break;
    case NSMPL_COMMAND:
        header("command", message.as.command.sequence, message.as.command.time_us);
        number("operation", message.as.command.operation);
        number("argument", message.as.command.argument);
        break;
    case NSMPL_REPLY:
        header("reply", message.as.reply.sequence, message.as.reply.time_us);
        number("request", message.as.reply.request);
        number("operation", message.as.reply.operation);
        number("outcome", message.as.reply.outcome);
        number("value", message.as.reply.value);
        break;
    }
}

static void take(struct nsmpl_accumulator *in, int byte)
{
    size_t len = 0;
    const uint8_t *payload = nsmpl_feed(in, (uint8_t)byte, &len);
    if (payload) print_payload(payload, len);
}

static void print_drops(const struct nsmpl_accumulator *in)
{
    printf("drops overlong %lu malformed %lu short %lu checksum %lu\n",
           (unsigned long)in->overlong, (unsigned long)in->malformed,
           (unsigned long)in->too_short, (unsigned long)in->checksum);
}

static int digit(int c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

static int decode_hex(const char *path)
{
    struct nsmpl_accumulator in;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    FILE *file = fopen(path, "r");
    int c, high = -1;
    if (!file) {
        perror(path);
        return 1;
    }
    printf("file %.*s\n", (int)(dot ? dot - name : (ptrdiff_t)strlen(name)), name);
    nsmpl_init(&in);
    while ((c = getc(file)) != EOF) {
        if (digit(c) < 0) continue;
        if (high < 0) {
            high = digit(c);
        } else {
            take(&in, high * 16 + digit(c));
            high = -1;
        }
    }
    fclose(file);
    print_drops(&in);
    return 0;
}

static uint32_t state;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Garbage, then a zero, then a whole command: the command must arrive, every time. */
static int garbage(uint32_t seed, unsigned long count)
{
    struct nsmpl_accumulator in;
    struct nsmpl_message message;
    unsigned long sent = 0, arrived = 0, parsed = 0, payloads = 0;
    nsmpl_init(&in);
    state = seed ? seed : 1;
    for (unsigned long done = 0; done < count;) {
        uint8_t frame[NSMPL_MAX_FRAME], payload[NSMPL_MAX_PAYLOAD];
        const uint32_t alphabet = next() % 3 == 0 ? 6 : 256;
        struct nsmpl_command command;
        size_t len = 0, size;
        for (uint32_t n = next() % 600; n > 0; n--, done++)
            if (nsmpl_feed(&in, (uint8_t)(next() % alphabet), &len)) payloads++;
        nsmpl_feed(&in, 0, &len);

        command.sequence = (uint32_t)++sent;
        command.time_us = (uint64_t)next() << 20;
        command.operation = (uint8_t)next();
        command.argument = next();
        size = nsmpl_encode_command(&command, frame);
        for (size_t i = 0; i < size; i++) {
            const uint8_t *at = nsmpl_feed(&in, frame[i], &len);
            arrived += at && nsmpl_parse(at, len, &message) == NSMPL_OK
                       && message.kind == NSMPL_COMMAND
                       && message.as.command.sequence == command.sequence
                       && message.as.command.time_us == command.time_us
                       && message.as.command.operation == command.operation
                       && message.as.command.argument == command.argument;
        }

        /* A right header and length, anything behind it, in a frame with a right checksum. */
        size = nsmpl_payload_len((uint8_t)(next() % 7));
        if (size == 0) size = next() % (NSMPL_MAX_PAYLOAD + 1);
        for (size_t i = 0; i < size; i++) payload[i] = (uint8_t)(next() % alphabet);
        if (size > 3) {
            memcpy(payload, "NS\1", 3);
            payload[3] = (uint8_t)(next() % 7);
        }
        size = nsmpl_frame(payload, size, frame);
        for (size_t i = 0; i < size; i++) {
            const uint8_t *at = nsmpl_feed(&in, frame[i], &len);
            if (at && nsmpl_parse(at, len, &message) == NSMPL_OK) {
                parsed++;
                if (message.kind == NSMPL_POSE)
                    for (unsigned joint = 0; joint < NSMPL_JOINTS; joint++) {
                        float axis[3], matrix[3][3];
                        const struct nsmpl_quaternion q =
                            nsmpl_quaternion_of(message.as.pose.rotations[joint]);
                        const float angle = nsmpl_axis_angle_of(q, axis);
                        nsmpl_matrix_of(q, matrix);
                        if (!(angle >= 0.0f && angle < 3.15f)) return 1;
                    }
            }
        }
    }
    printf("garbage: %lu bytes, %lu of %lu commands arrived, %lu other payloads parsed\n", count,
           arrived, sent, parsed);
    return arrived == sent ? 0 : 1;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    if (argc == 4 && strcmp(argv[1], "--garbage") == 0)
        return garbage((uint32_t)strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-") == 0) {
            struct nsmpl_accumulator in;
            int c;
            nsmpl_init(&in);
            while ((c = getchar()) != EOF) take(&in, c);
            print_drops(&in);
        } else {
            failed |= decode_hex(argv[i]);
        }
    }
    return failed;
}
