/* Boot, command loop, run. */
#include "client.h"

#include "hil/board.h"
#include "hil/shim.h"
#include "hil/tls.h"
#include "hil_build_id.h"
#include "script.h"
#include "settings.h"

#define WAIT_MS 60000u

static const char *const RESETS[] = {"power", "pin", "software", "watchdog"};

int hil_client_main(void) {
    char defects[200]; /* all names together are 169 characters */
    if (hil_board_init() != 0)
        return -1;
    hil_shim_init();
    hil_settings_init();
    (void)hil_settings_defect_names(defects, sizeof defects);
    hil_event("boot", "build=%s board=%s stack=%s proto=1 level=command caps=%s,mqtt3.1.1,mqtt5 reset=%s",
              HIL_BUILD_ID, hil_board_name(), hil_tls_stack(), hil_tls_caps(),
              RESETS[hil_board_reset_cause()]);
    hil_event("info", "defects=%s", defects); /* a line of its own: 240 bytes do not hold both lists */
    hil_event("ready", NULL);
    for (;;) {
        int rc = hil_command_poll(&hil_settings_commands, WAIT_MS);
        if (rc < 0)
            return 0;
        if (rc > 0)
            hil_script_run();
    }
}
