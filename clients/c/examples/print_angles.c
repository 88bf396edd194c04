/*
 * Prints the joint angles of every pose that comes over a serial line, a file or stdin.
 *
 *     print_angles /dev/ttyUSB0 115200
 *     print_angles poses.nsmpl
 *     nc camera 5006 | print_angles -
 *
 * A joint's angle is how far it is turned from the rest pose (arms spread, legs straight), in
 * degrees, with the axis in the body's rest frame: x to the person's left, y up, z forward.
 */
#define _DEFAULT_SOURCE /* cfmakeraw, speeds above 38400 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "neuralsmpl_packet.h"

static speed_t speed_of(long baud)
{
    switch (baud) {
    case 9600: return B9600;
    case 19200: return B19200;
    case 38400: return B38400;
    case 57600: return B57600;
    case 115200: return B115200;
    case 230400: return B230400;
#ifdef B460800
    case 460800: return B460800;
#endif
#ifdef B921600
    case 921600: return B921600;
#endif
    default: return B0;
    }
}

/* Opens a line raw, 8N1, at its speed. */
static int open_serial(const char *path, const char *baud)
{
    struct termios settings;
    const speed_t speed = speed_of(strtol(baud, NULL, 10));
    const int line = open(path, O_RDONLY | O_NOCTTY);
    if (speed == B0) {
        fprintf(stderr, "baud rate %s is not known; use 115200, 230400, 460800 or 921600\n", baud);
        exit(2);
    }
    if (line < 0 || tcgetattr(line, &settings) != 0) {
        perror(path);
        exit(2);
    }
    cfmakeraw(&settings);
    settings.c_cflag &= (tcflag_t) ~(CSTOPB | CRTSCTS);
    settings.c_cflag |= CLOCAL | CREAD;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    if (cfsetspeed(&settings, speed) != 0 || tcsetattr(line, TCSANOW, &settings) != 0) {
        perror(path);
        exit(2);
    }
    return line;
}

static void print_pose(const struct nsmpl_pose *pose)
{
    static const char *const seen[] = {"", " (self-occluded)", " (occluded)", " (out of frame)"};
    printf("person %u at %.3f s: pelvis %.3f %.3f %.3f m, quality %.2f\n", pose->person_id,
           (double)pose->time_us * 1e-6, (double)pose->translation[0],
           (double)pose->translation[1], (double)pose->translation[2], pose->fit_quality / 255.0);
    for (unsigned joint = 0; joint < NSMPL_JOINTS; joint++) {
        float axis[3];
        const float angle = nsmpl_axis_angle_of(nsmpl_quaternion_of(pose->rotations[joint]), axis);
        printf("  %-14s %6.1f deg about %5.2f %5.2f %5.2f%s\n", nsmpl_joint_name(joint),
               (double)angle * 57.29577951308232, (double)axis[0], (double)axis[1],
               (double)axis[2], seen[pose->visibility[joint]]);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct nsmpl_accumulator in;
    unsigned long refused = 0;
    uint8_t chunk[512];
    ssize_t count = 0;
    int line;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: print_angles DEVICE BAUD | FILE | -\n");
        return 2;
    }
    if (argc == 3)
        line = open_serial(argv[1], argv[2]);
    else
        line = strcmp(argv[1], "-") == 0 ? STDIN_FILENO : open(argv[1], O_RDONLY);
    if (line < 0) {
        perror(argv[1]);
        return 2;
    }
    nsmpl_init(&in);
    while ((count = read(line, chunk, sizeof chunk)) > 0 || (count < 0 && errno == EINTR)) {
        for (ssize_t i = 0; i < count; i++) {
            size_t len;
            struct nsmpl_message message;
            const uint8_t *payload = nsmpl_feed(&in, chunk[i], &len);
            if (!payload) continue;
            switch (nsmpl_parse(payload, len, &message)) {
            case NSMPL_OK:
                if (message.kind == NSMPL_POSE) print_pose(&message.as.pose);
                break;
            case NSMPL_UNKNOWN_KIND: break;
            default: refused++;
            }
        }
    }
    if (count < 0) perror(argv[1]);
    fprintf(stderr, "%lu frames; damaged: %lu; refused: %lu\n", (unsigned long)in.frames,
            (unsigned long)in.overlong + in.malformed + in.too_short + in.checksum, refused);
    return count < 0;
}
