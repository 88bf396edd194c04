/* As much of Arduino's core as the example needs, on a PC: Serial1 is stdin, Serial stdout, pins are
   counted. For tests. */
#ifndef NEURALSMPL_ARDUINO_SHIM
#define NEURALSMPL_ARDUINO_SHIM

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 1

extern unsigned long shim_ms;
extern unsigned long shim_pulse_us;

inline unsigned long millis() { return shim_ms; }
inline void pinMode(int, int) {}
inline void digitalWrite(int, int) {}
inline void delayMicroseconds(unsigned us) { shim_pulse_us = us; }

class Port {
  public:
    void begin(unsigned long) {}
    int available()
    {
        const int c = getchar();
        if (c == EOF) return 0;
        ungetc(c, stdin);
        return 1;
    }
    int read() { return getchar(); }
    void print(const char *text) { fputs(text, stdout); }
    void print(unsigned number) { printf("%u", number); }
    void print(float number, int digits) { printf("%.*f", digits, (double)number); }
    void println(const char *text) { puts(text); }
};

extern Port Serial;
extern Port Serial1;

#endif
