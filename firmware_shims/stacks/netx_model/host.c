#include "host.h"

#include "../../net/posix.c"
