/*
 * neuralsmpl_packet.h: receives the packets of NeuralSMPL Edge. C99 or C++11, one header, no
 * allocation, no global state. Bytes are specified in docs/packet.md.
 *
 *     struct nsmpl_accumulator in;
 *     nsmpl_init(&in);
 *     for (;;) {
 *         size_t len;
 *         struct nsmpl_message message;
 *         const uint8_t *payload = nsmpl_feed(&in, next_byte(), &len);
 *         if (payload && nsmpl_parse(payload, len, &message) == NSMPL_OK
 *             && message.kind == NSMPL_POSE)
 *             use(&message.as.pose);
 *     }
 *
 * Camera frame: x right, y down, z forward. Body frame: x to the person's left, y up, z forward.
 * Lengths in metres. float must be IEEE 754 binary32 (checked). Link with -lm for sqrtf, atan2f.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT
 */
#ifndef NEURALSMPL_PACKET_H
#define NEURALSMPL_PACKET_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NSMPL_VERSION 1
#define NSMPL_JOINTS 24
#define NSMPL_BETAS 10
/* Bytes of the largest frame, its zero included, and of the largest payload. */
#define NSMPL_MAX_FRAME 230
#define NSMPL_MAX_PAYLOAD 224
#define NSMPL_HEADER_LEN 16
/* nsmpl_status.temperature_centi_c where it is not known. */
#define NSMPL_NO_TEMPERATURE (-32768)

typedef char nsmpl_float_is_binary32[sizeof(float) == 4 ? 1 : -1];

enum nsmpl_kind {
    NSMPL_POSE = 1,
    NSMPL_SUBJECT = 2,
    NSMPL_STATUS = 3,
    NSMPL_COMMAND = 4,
    NSMPL_REPLY = 5
};

enum nsmpl_backend { NSMPL_BACKEND_UNSPECIFIED = 0, NSMPL_BACKEND_CPU = 1, NSMPL_BACKEND_VULKAN = 2 };

enum nsmpl_pose_flag {
    NSMPL_POSE_SMOOTHED = 1 << 0,
    NSMPL_POSE_PREDICTED = 1 << 1, /* this frame gave no fit for the person */
    NSMPL_POSE_OCCLUDED = 1 << 2,
    NSMPL_POSE_LATE = 1 << 3,
    NSMPL_POSE_RESTARTED = 1 << 4 /* filters should reset */
};

enum nsmpl_subject_flag { NSMPL_SUBJECT_CALIBRATED = 1 << 0, NSMPL_SUBJECT_SETTLED = 1 << 1 };

enum nsmpl_fault {
    NSMPL_FAULT_SOURCE = 1 << 0,
    NSMPL_FAULT_BACKBONE = 1 << 1,
    NSMPL_FAULT_POOL = 1 << 2,
    NSMPL_FAULT_FIT = 1 << 3,
    NSMPL_FAULT_OUTPUT = 1 << 4,
    NSMPL_FAULT_DEADLINE = 1 << 5,
    NSMPL_FAULT_THERMAL = 1 << 6,
    NSMPL_FAULT_FALLBACK = 1 << 7,
    NSMPL_FAULT_CLOCK = 1 << 8
};

enum nsmpl_visibility {
    NSMPL_VISIBLE = 0,
    NSMPL_SELF_OCCLUDED = 1,
    NSMPL_OCCLUDED = 2,
    NSMPL_OUT_OF_FRAME = 3
};

enum nsmpl_operation {
    NSMPL_GET_STATUS = 1,
    NSMPL_SET_RATE = 2, /* argument: pose packets per second and person, millihertz; 0 = all */
    NSMPL_PAUSE = 3,
    NSMPL_RESUME = 4,
    NSMPL_REDETECT = 5
};

enum nsmpl_outcome {
    NSMPL_DONE = 0,
    NSMPL_REFUSED = 1,
    NSMPL_UNKNOWN_OPERATION = 2,
    NSMPL_INVALID_ARGUMENT = 3
};

/* A rotation in 48 bits, as it travels: see nsmpl_quaternion_of. */
typedef uint64_t nsmpl_rotation;

struct nsmpl_quaternion {
    float w, x, y, z;
};

/* One person in one frame. */
struct nsmpl_pose {
    uint32_t sequence; /* counts packets of all kinds on the stream; a gap is a loss */
    uint64_t time_us;  /* capture time, microseconds since the Unix epoch, sender's clock */
    uint16_t person_id;
    uint8_t flags;   /* enum nsmpl_pose_flag */
    uint8_t backend; /* enum nsmpl_backend */
    uint32_t model_id;
    uint32_t latency_us;  /* from capture to the packet leaving the fit */
    float translation[3]; /* camera frame, metres */
    nsmpl_rotation rotations[NSMPL_JOINTS]; /* 0: body to camera frame; others: to the parent */
    uint8_t visibility[NSMPL_JOINTS];       /* enum nsmpl_visibility */
    uint8_t confidence[NSMPL_JOINTS];       /* 255ths */
    uint8_t fit_quality;                    /* 255ths */
    uint8_t fit_steps;                      /* 255 = 255 or more */
};

/* Shape of one person, and the camera. */
struct nsmpl_subject {
    uint32_t sequence;
    uint64_t time_us; /* when the packet was written */
    uint16_t person_id;
    uint8_t flags; /* enum nsmpl_subject_flag */
    uint32_t model_id;
    uint16_t image_size[2]; /* width, height, pixels */
    float focal[2];         /* pixels */
    float centre[2];        /* pixels from the outer corner of the top left pixel */
    float distortion[5];    /* k1, k2, p1, p2, k3, OpenCV's order */
    float betas[NSMPL_BETAS];
};

/* Health of the sender. */
struct nsmpl_status {
    uint32_t sequence;
    uint64_t time_us;
    uint32_t uptime_s;
    uint32_t frames_captured;
    uint32_t frames_fitted;
    uint32_t drops[5]; /* frames: overtaken, source, backbone, fit, output */
    float frame_rate_hz;
    uint32_t memory_kib;
    uint32_t pool_peak_kib;
    uint32_t pool_kib;
    uint32_t faults;             /* enum nsmpl_fault */
    int16_t temperature_centi_c; /* 0.01 degrees Celsius, or NSMPL_NO_TEMPERATURE */
    uint8_t backend;
    uint8_t persons;
};

/* What a client asks of the sender. */
struct nsmpl_command {
    uint32_t sequence;
    uint64_t time_us;
    uint8_t operation; /* enum nsmpl_operation, or a code of a later client */
    uint32_t argument;
};

/* What became of a command. */
struct nsmpl_reply {
    uint32_t sequence;
    uint64_t time_us;
    uint32_t request; /* sequence of the command */
    uint8_t operation;
    uint8_t outcome; /* enum nsmpl_outcome; other codes: not done */
    uint32_t value;
};

struct nsmpl_message {
    enum nsmpl_kind kind;
    union {
        struct nsmpl_pose pose;
        struct nsmpl_subject subject;
        struct nsmpl_status status;
        struct nsmpl_command command;
        struct nsmpl_reply reply;
    } as;
};

/* Why a payload is refused. On NSMPL_UNKNOWN_KIND skip it: a later sender's. */
enum nsmpl_result {
    NSMPL_OK = 0,
    NSMPL_SHORT,
    NSMPL_MAGIC,
    NSMPL_OTHER_VERSION,
    NSMPL_UNKNOWN_KIND,
    NSMPL_LENGTH,
    NSMPL_BAD_TRANSLATION,
    NSMPL_BAD_ROTATIONS,
    NSMPL_BAD_IMAGE_SIZE,
    NSMPL_BAD_FOCAL,
    NSMPL_BAD_CENTRE,
    NSMPL_BAD_DISTORTION,
    NSMPL_BAD_BETAS,
    NSMPL_BAD_FRAME_RATE
};

static inline const char *nsmpl_result_name(enum nsmpl_result result)
{
    static const char *const names[] = {"ok",           "short",       "magic",     "version",
                                        "unknown_kind", "length",      "translation", "rotations",
                                        "image_size",   "focal",       "centre",    "distortion",
                                        "betas",        "frame_rate_hz"};
    return names[result];
}

/* Name of a joint, NULL from NSMPL_JOINTS on. */
static inline const char *nsmpl_joint_name(unsigned joint)
{
    static const char *const names[NSMPL_JOINTS] = {
        "pelvis",     "left_hip",    "right_hip",   "spine1",        "left_knee",
        "right_knee", "spine2",      "left_ankle",  "right_ankle",   "spine3",
        "left_foot",  "right_foot",  "neck",        "left_collar",   "right_collar",
        "head",       "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
        "left_wrist", "right_wrist", "left_hand",   "right_hand"};
    return joint < NSMPL_JOINTS ? names[joint] : NULL;
}

/* ---- Bytes ---- */

static inline uint64_t nsmpl_get(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    while (size--) value = value << 8 | at[size];
    return value;
}

static inline void nsmpl_put(uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++, value >>= 8) at[i] = (uint8_t)(value & 0xff);
}

/* Reads floats; 0 where one is not finite. Judged by bits, so that -ffast-math does no harm. */
static inline int nsmpl_floats(const uint8_t *at, float *out, unsigned count)
{
    int finite = 1;
    for (unsigned i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)nsmpl_get(at + 4 * i, 4);
        finite &= (bits & 0x7f800000u) != 0x7f800000u;
        memcpy(&out[i], &bits, 4);
    }
    return finite;
}

/* CRC-32 as in zlib. */
static inline uint32_t nsmpl_crc32(const uint8_t *bytes, size_t len)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < len; i++) {
        crc = table[(crc ^ bytes[i]) & 15u] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)bytes[i] >> 4) & 15u] ^ crc >> 4;
    }
    return ~crc;
}

/* ---- Frames ---- */

/* Cuts payloads out of a stream. What it drops it counts by cause. */
struct nsmpl_accumulator {
    uint8_t buffer[NSMPL_MAX_FRAME - 1];
    uint16_t len; /* bytes since the last zero; NSMPL_MAX_FRAME = too many */
    uint32_t frames;
    uint32_t overlong;
    uint32_t malformed;
    uint32_t too_short;
    uint32_t checksum;
};

static inline void nsmpl_init(struct nsmpl_accumulator *in)
{
    memset(in, 0, sizeof *in);
}

/*
 * Takes one byte. Returns the payload that it completes and its length, which may be 0, or NULL.
 * The payload stays as it is until the next call.
 */
static inline const uint8_t *nsmpl_feed(struct nsmpl_accumulator *in, uint8_t byte, size_t *len)
{
    if (byte != 0) {
        if (in->len < sizeof in->buffer) in->buffer[in->len] = byte;
        if (in->len < NSMPL_MAX_FRAME) in->len++;
        return NULL;
    }
    const size_t end = in->len;
    in->len = 0;
    if (end == 0) return NULL; /* idle line */
    if (end > sizeof in->buffer) {
        in->overlong++;
        return NULL;
    }
    size_t from = 0, to = 0; /* COBS, in place: `to` never passes `from` */
    while (from < end) {
        const size_t group = (size_t)in->buffer[from++] - 1;
        if (group > end - from) {
            in->malformed++;
            return NULL;
        }
        memmove(in->buffer + to, in->buffer + from, group);
        from += group;
        to += group;
        if (from < end) in->buffer[to++] = 0; /* a group of 254 does not fit a frame */
    }
    if (to < 4) {
        in->too_short++;
        return NULL;
    }
    if (nsmpl_crc32(in->buffer, to - 4) != nsmpl_get(in->buffer + to - 4, 4)) {
        in->checksum++;
        return NULL;
    }
    in->frames++;
    *len = to - 4;
    return in->buffer;
}

/* Writes a frame of a payload of at most NSMPL_MAX_PAYLOAD bytes; its length, or 0 if too long. */
static inline size_t nsmpl_frame(const uint8_t *payload, size_t len, uint8_t out[NSMPL_MAX_FRAME])
{
    uint8_t sum[4];
    size_t group = 0, to = 1;
    if (len > NSMPL_MAX_PAYLOAD) return 0;
    nsmpl_put(sum, nsmpl_crc32(payload, len), 4);
    for (size_t i = 0; i < len + 4; i++) {
        const uint8_t byte = i < len ? payload[i] : sum[i - len];
        if (byte == 0) {
            out[group] = (uint8_t)(to - group);
            group = to;
        } else {
            out[to] = byte;
        }
        to++;
    }
    out[group] = (uint8_t)(to - group);
    out[to++] = 0;
    return to;
}

/* Writes a command as a frame and returns its length. */
static inline size_t nsmpl_encode_command(const struct nsmpl_command *command,
                                          uint8_t out[NSMPL_MAX_FRAME])
{
    uint8_t payload[24] = {'N', 'S', NSMPL_VERSION, NSMPL_COMMAND};
    nsmpl_put(payload + 4, command->sequence, 4);
    nsmpl_put(payload + 8, command->time_us, 8);
    payload[16] = command->operation;
    nsmpl_put(payload + 20, command->argument, 4);
    return nsmpl_frame(payload, sizeof payload, out);
}

/* ---- Rotations ---- */

/* The three components that are kept, in steps; 0 where the bits are no rotation. */
static inline int nsmpl_steps(nsmpl_rotation rotation, int32_t steps[3])
{
    int32_t squared = 0;
    for (unsigned i = 0; i < 3; i++) {
        steps[i] = (int32_t)(rotation >> 15 * i & 0x7fff) - 16384;
        squared += steps[i] * steps[i];
    }
    return squared <= 536805378;
}

/* The unit quaternion of a rotation that nsmpl_parse has let pass. */
static inline struct nsmpl_quaternion nsmpl_quaternion_of(nsmpl_rotation rotation)
{
    const float step = 0.70710678118654752440f / 16383.0f;
    int32_t steps[3], rest = 536805378;
    float part[4];
    struct nsmpl_quaternion q;
    const unsigned left_out = (unsigned)(rotation >> 45 & 3);
    const int valid = nsmpl_steps(rotation, steps);
    for (unsigned i = 0, kept = 0; i < 4; i++) {
        if (i == left_out) continue;
        rest -= steps[kept] * steps[kept];
        part[i] = (float)steps[kept++] * step;
    }
    part[left_out] = valid ? sqrtf((float)rest / 536805378.0f) : 0.0f;
    q.w = part[0];
    q.x = part[1];
    q.y = part[2];
    q.z = part[3];
    return q;
}

/* The rotation matrix, rows first: v' = R v. */
static inline void nsmpl_matrix_of(struct nsmpl_quaternion q, float matrix[3][3])
{
    matrix[0][0] = 1.0f - 2.0f * (q.y * q.y + q.z * q.z);
    matrix[0][1] = 2.0f * (q.x * q.y - q.w * q.z);
    matrix[0][2] = 2.0f * (q.x * q.z + q.w * q.y);
    matrix[1][0] = 2.0f * (q.x * q.y + q.w * q.z);
    matrix[1][1] = 1.0f - 2.0f * (q.x * q.x + q.z * q.z);
    matrix[1][2] = 2.0f * (q.y * q.z - q.w * q.x);
    matrix[2][0] = 2.0f * (q.x * q.z - q.w * q.y);
    matrix[2][1] = 2.0f * (q.y * q.z + q.w * q.x);
    matrix[2][2] = 1.0f - 2.0f * (q.x * q.x + q.y * q.y);
}

/* Unit axis and angle, 0 to pi radians; the x axis where nothing turns. */
static inline float nsmpl_axis_angle_of(struct nsmpl_quaternion q, float axis[3])
{
    const float sine = sqrtf(q.x * q.x + q.y * q.y + q.z * q.z);
    const float sign = q.w < 0.0f ? -1.0f : 1.0f;
    const int turns = sine > 0.0f;
    axis[0] = turns ? sign * q.x / sine : 1.0f;
    axis[1] = turns ? sign * q.y / sine : 0.0f;
    axis[2] = turns ? sign * q.z / sine : 0.0f;
    return 2.0f * atan2f(sine, sign * q.w);
}

/* ---- Payloads ---- */

static inline uint8_t nsmpl_backend_of(uint8_t code)
{
    return code <= (uint8_t)NSMPL_BACKEND_VULKAN ? code : (uint8_t)NSMPL_BACKEND_UNSPECIFIED;
}

static inline enum nsmpl_result nsmpl_parse_pose(const uint8_t *at, struct nsmpl_pose *out)
{
    int32_t steps[3];
    int valid = 1;
    out->person_id = (uint16_t)nsmpl_get(at + 16, 2);
    out->flags = at[18];
    out->backend = nsmpl_backend_of(at[19]);
    out->model_id = (uint32_t)nsmpl_get(at + 20, 4);
    out->latency_us = (uint32_t)nsmpl_get(at + 24, 4);
    if (!nsmpl_floats(at + 28, out->translation, 3)) return NSMPL_BAD_TRANSLATION;
    for (unsigned joint = 0; joint < NSMPL_JOINTS; joint++) {
        out->rotations[joint] = nsmpl_get(at + 40 + 6 * joint, 6) & 0x7fffffffffffu;
        valid &= nsmpl_steps(out->rotations[joint], steps);
        out->visibility[joint] = (uint8_t)(at[184 + joint / 4] >> 2 * (joint % 4) & 3);
        out->confidence[joint] = at[190 + joint];
    }
    out->fit_quality = at[214];
    out->fit_steps = at[215];
    return valid ? NSMPL_OK : NSMPL_BAD_ROTATIONS;
}

static inline enum nsmpl_result nsmpl_parse_subject(const uint8_t *at, struct nsmpl_subject *out)
{
    out->person_id = (uint16_t)nsmpl_get(at + 16, 2);
    out->flags = at[18];
    out->model_id = (uint32_t)nsmpl_get(at + 20, 4);
    out->image_size[0] = (uint16_t)nsmpl_get(at + 24, 2);
    out->image_size[1] = (uint16_t)nsmpl_get(at + 26, 2);
    if (out->image_size[0] == 0 || out->image_size[1] == 0) return NSMPL_BAD_IMAGE_SIZE;
    if (!nsmpl_floats(at + 28, out->focal, 2)) return NSMPL_BAD_FOCAL;
    for (unsigned i = 0; i < 2; i++) { /* positive, denormals too */
        const uint32_t bits = (uint32_t)nsmpl_get(at + 28 + 4 * i, 4);
        if (bits == 0 || bits >> 31) return NSMPL_BAD_FOCAL;
    }
    if (!nsmpl_floats(at + 36, out->centre, 2)) return NSMPL_BAD_CENTRE;
    if (!nsmpl_floats(at + 44, out->distortion, 5)) return NSMPL_BAD_DISTORTION;
    if (!nsmpl_floats(at + 64, out->betas, NSMPL_BETAS)) return NSMPL_BAD_BETAS;
    return NSMPL_OK;
}

static inline enum nsmpl_result nsmpl_parse_status(const uint8_t *at, struct nsmpl_status *out)
{
    const uint32_t rate = (uint32_t)nsmpl_get(at + 48, 4);
    const uint16_t temperature = (uint16_t)nsmpl_get(at + 68, 2);
    out->uptime_s = (uint32_t)nsmpl_get(at + 16, 4);
    out->frames_captured = (uint32_t)nsmpl_get(at + 20, 4);
    out->frames_fitted = (uint32_t)nsmpl_get(at + 24, 4);
    for (unsigned i = 0; i < 5; i++) out->drops[i] = (uint32_t)nsmpl_get(at + 28 + 4 * i, 4);
    if (!nsmpl_floats(at + 48, &out->frame_rate_hz, 1)) return NSMPL_BAD_FRAME_RATE;
    if (rate > 0x80000000u) return NSMPL_BAD_FRAME_RATE; /* negative, and not -0 */
    out->memory_kib = (uint32_t)nsmpl_get(at + 52, 4);
    out->pool_peak_kib = (uint32_t)nsmpl_get(at + 56, 4);
    out->pool_kib = (uint32_t)nsmpl_get(at + 60, 4);
    out->faults = (uint32_t)nsmpl_get(at + 64, 4);
    memcpy(&out->temperature_centi_c, &temperature, 2);
    out->backend = nsmpl_backend_of(at[70]);
    out->persons = at[71];
    return NSMPL_OK;
}

/* Bytes of a payload of a kind; 0 where the kind is not known. */
static inline size_t nsmpl_payload_len(uint8_t kind)
{
    static const uint8_t lens[] = {0, 216, 104, 72, 24, 28};
    return kind < sizeof lens ? lens[kind] : 0;
}

/*
 * Parses a payload of any kind. Unless it returns NSMPL_OK, what `out` holds has no meaning, and
 * the packet is to be dropped whole.
 */
static inline enum nsmpl_result nsmpl_parse(const uint8_t *at, size_t len, struct nsmpl_message *out)
{
    uint32_t sequence;
    uint64_t time_us;
    if (len < NSMPL_HEADER_LEN) return NSMPL_SHORT;
    if (at[0] != 'N' || at[1] != 'S') return NSMPL_MAGIC;
    if (at[2] != NSMPL_VERSION) return NSMPL_OTHER_VERSION;
    if (nsmpl_payload_len(at[3]) == 0) return NSMPL_UNKNOWN_KIND;
    if (nsmpl_payload_len(at[3]) != len) return NSMPL_LENGTH;
    sequence = (uint32_t)nsmpl_get(at + 4, 4);
    time_us = nsmpl_get(at + 8, 8);
    switch (at[3]) {
    case NSMPL_POSE:
        out->kind = NSMPL_POSE;
        out->as.pose.sequence = sequence;
        out->as.pose.time_us = time_us;
        return nsmpl_parse_pose(at, &out->as.pose);
    case NSMPL_SUBJECT:
        out->kind = NSMPL_SUBJECT;
        out->as.subject.sequence = sequence;
        out->as.subject.time_us = time_us;
        return nsmpl_parse_subject(at, &out->as.subject);
    case NSMPL_STATUS:
        out->kind = NSMPL_STATUS;
        out->as.status.sequence = sequence;
        out->as.status.time_us = time_us;
        return nsmpl_parse_status(at, &out->as.status);
    case NSMPL_COMMAND:
        out->kind = NSMPL_COMMAND;
        out->as.command.sequence = sequence;
        out->as.command.time_us = time_us;
        out->as.command.operation = at[16];
        out->as.command.argument = (uint32_t)nsmpl_get(at + 20, 4);
        return NSMPL_OK;
    default:
        out->kind = NSMPL_REPLY;
        out->as.reply.sequence = sequence;
        out->as.reply.time_us = time_us;
        out->as.reply.request = (uint32_t)nsmpl_get(at + 16, 4);
        out->as.reply.operation = at[20];
        out->as.reply.outcome = at[21];
        out->as.reply.value = (uint32_t)nsmpl_get(at + 24, 4);
        return NSMPL_OK;
    }
}

#ifdef __cplusplus
}
#endif

#endif
