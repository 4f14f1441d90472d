/* Boot, command loop, run. */
#include "client.h"

#include "hil/board.h"
#include "hil/shim.h"
#include "hil/sign.h"
#include "hil/tls.h"
#include "script.h"
#include "settings.h"

/* The revision in `boot`: of our CMake build, or what a project of your own defines. */
#if !defined(HIL_BUILD_ID) && __has_include("hil_build_id.h")
#include "hil_build_id.h"
#elif !defined(HIL_BUILD_ID)
#define HIL_BUILD_ID "unknown"
#endif

#define WAIT_MS  60000u
#define LIST_MAX 190u /* bytes of a list in one line */

static const char *const RESETS[] = {"power", "pin", "software", "watchdog"};

/* The defects that can be switched on, in as many lines as they need. */
static void say_defects(void) {
    char names[800];
    size_t len = hil_settings_defect_names(names, sizeof names);
    for (size_t at = 0; at < len;) {
        size_t end = len - at > LIST_MAX ? at + LIST_MAX : len;
        while (end < len && end > at && names[end] != ',')
            end--;
        names[end] = '\0';
        hil_event("info", "defects=%s", names + at);
        at = end + 1;
    }
}

int hil_client_main(void) {
    if (hil_board_init() != 0)
        return -1;
    hil_shim_init();
    hil_settings_init();
    hil_event("boot", "build=%s board=%s stack=%s proto=1 level=command caps=%s,mqtt3.1.1,mqtt5%s reset=%s",
              HIL_BUILD_ID, hil_board_name(), hil_tls_stack(), hil_tls_caps(), hil_can_sign() ? ",jwt" : "",
              RESETS[hil_board_reset_cause()]);
    say_defects(); /* lines of their own: 240 bytes do not hold both lists */
    hil_event("ready", NULL);
    for (;;) {
        int rc = hil_command_poll(&hil_settings_commands, WAIT_MS);
        if (rc < 0)
            return 0;
        if (rc > 0)
            hil_script_run();
    }
}
