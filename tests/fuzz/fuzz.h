/* tests/fuzz/fuzz.h - what a fuzzer defines: libFuzzer's entry point.
 *
 * Called with each input, which is borrowed.  Returns 0; a broken promise of
 * the code under test is an assert.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* FUZZ_H */
