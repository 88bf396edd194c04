/* Runs a sketch on what stdin holds, then lets a second pass in silence. */
#include "Arduino.h"

unsigned long shim_ms;
unsigned long shim_pulse_us;
Port Serial;
Port Serial1;

void setup();
void loop();

int main()
{
    setup();
    loop();
    const unsigned long pulse = shim_pulse_us;
    shim_ms += 1000;
    loop();
    printf("servo %lu us\n", pulse);
    return 0;
}
