#ifndef HIL_STUB_SESSION_H
#define HIL_STUB_SESSION_H

/* So many next connections fail, so many next steps lose theirs. */
extern int stub_fail_connects, stub_fail_steps;

#endif
