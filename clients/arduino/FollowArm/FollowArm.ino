/*
 * Reads poses from a serial line and follows the nearest person's left elbow with a servo signal.
 *
 * Wiring: the device's TX to RX1 of this board, ground to ground. Levels: 3.3 V; a 5 V board (Mega) reads
 * 3.3 V as high, but its TX needs a divider before it goes to the device. Copy neuralsmpl_packet.h beside
 * this file. Needs about 700 bytes of RAM: a Mega, Due, Zero, Teensy, ESP32, RP2040; not an Uno.
 *
 * On the device:
 *
 *     [[sink]]
 *     type = "serial"
 *     device = "/dev/ttyTHS1"
 *     baud = 115200
 *     rate_hz = 15.0
 *     control = true
 */
#include "neuralsmpl_packet.h"

const unsigned long BAUD = 115200;
const int SERVO_PIN = 9;
const unsigned ELBOW = 18; /* left_elbow */
const unsigned long SILENCE_MS = 500;

static struct nsmpl_accumulator line;
static unsigned long last_pose_ms;
static bool lost = true;

/* Half a millisecond is one end of a servo's travel, 2.4 the other. */
static void servo_to(float degrees)
{
    const float span = degrees < 0.0f ? 0.0f : degrees > 180.0f ? 180.0f : degrees;
    const unsigned pulse_us = 500u + (unsigned)(span * 1900.0f / 180.0f);
    digitalWrite(SERVO_PIN, HIGH);
    delayMicroseconds(pulse_us);
    digitalWrite(SERVO_PIN, LOW);
}

static void take(const struct nsmpl_pose *pose)
{
    float axis[3];
    const struct nsmpl_quaternion turn = nsmpl_quaternion_of(pose->rotations[ELBOW]);
    const float degrees = nsmpl_axis_angle_of(turn, axis) * 57.29578f;
    const unsigned seen = pose->visibility[ELBOW];

    last_pose_ms = millis();
    lost = false;
    Serial.print("person ");
    Serial.print(pose->person_id);
    Serial.print(" left_elbow ");
    Serial.print(degrees, 1);
    Serial.print(" deg, confidence ");
    Serial.print(pose->confidence[ELBOW]);
    Serial.println(seen == NSMPL_VISIBLE ? "" : " (hidden)");
    /* A guess about a hidden arm moves no motor. */
    if (seen == NSMPL_VISIBLE && (pose->flags & NSMPL_POSE_PREDICTED) == 0) servo_to(degrees);
}

void setup()
{
    pinMode(SERVO_PIN, OUTPUT);
    Serial.begin(BAUD);
    Serial1.begin(BAUD);
    nsmpl_init(&line);
}

void loop()
{
    while (Serial1.available() > 0) {
        size_t length;
        struct nsmpl_message message;
        const uint8_t *payload = nsmpl_feed(&line, (uint8_t)Serial1.read(), &length);
        if (payload == NULL || nsmpl_parse(payload, length, &message) != NSMPL_OK) continue;
        if (message.kind == NSMPL_POSE) take(&message.as.pose);
    }
    if (!lost && millis() - last_pose_ms > SILENCE_MS) {
        lost = true;
        Serial.println("nobody");
    }
}
