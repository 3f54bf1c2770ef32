/* tests/unit/hand_clock.h - the loop's time, moved by hand: nothing waits, all is exact.
 *
 * It stands in for the timers and the clock of wire/base/loop.h, and for its threads: work is done
 * at once.  A test links it with --wrap (tests/unit/CMakeLists.txt).
 */
#ifndef TESTS_HAND_CLOCK_H
#define TESTS_HAND_CLOCK_H

#include <stdint.h>

struct rig;

/* Let msec pass: what is due is called in order, and the loop settles after each. */
void hand_clock_pass(struct rig *r, uint64_t msec);

#endif /* TESTS_HAND_CLOCK_H */
