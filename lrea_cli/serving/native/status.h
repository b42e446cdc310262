// What makes a call return another status than LREA_OK.
#pragma once
#include "lrea.h"

namespace lrea {

struct Refused {
    lrea_status status;
};

inline void need(bool good, lrea_status status = LREA_BAD_ARGUMENT) {
    if (!good) throw Refused{status};
}

}  // namespace lrea
