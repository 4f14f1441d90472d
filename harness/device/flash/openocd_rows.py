"""What OpenOCD prints when something is wrong, and what that means. One row a fault; the special before the general.

`seen`: printed by OpenOCD 0.12.0 (Debian) against the virtual board or with no board, tests/flash has the lines. `doc`:
from OpenOCD's source or documentation, for probes that no test here has (ST-LINK, CMSIS-DAP, SWD).
"""

from __future__ import annotations

from harness.device.flash.rows import Row

POWER = "check its power and the cable to the probe, then try again"
CONTACT = "power-cycle the board and try again; if it stays, check the wiring and lower `adapter speed`"
FLASH = "power-cycle the board and try again; if it stays, the flash is worn out or the supply too weak"
PROBE = "unplug the probe and plug it in again; end whoever else uses it (`hil boards` shows our own)"
ATTACH = "plug the probe in, or correct probe_id in lab.toml (`hil boards --scan` lists probes)"
PROTECTION = "remove the protection by hand (STM32CubeProgrammer: option bytes RDP, nWRP); that erases the flash"

ROWS: tuple[Row, ...] = (
    # -- false passes: OpenOCD goes on, and ends with 0 --
    Row("wrong IDCODE", (r"UNEXPECTED: 0x",), "lab.wrong_board",
        "the chip on the scan chain is not the one the configuration describes ({line})",
        "attach the target's own board, or correct probe_id in lab.toml", always=True),
    Row("image outside flash", (r"no flash bank found",), "lab.flash_failed",
        "the image lies outside the chip's flash ({line})",
        "check `address` in the target's [flash], the linker script, and that the image is this target's", always=True,
        climb=False),
    Row("no adapter", (r"Debug adapter does not support any transports|Debug Adapter has to be specified",),
        "lab.probe_missing", "no debug adapter is configured",
        "name the probe's interface file in [flash] params: [\"-f\", \"interface/stlink.cfg\"]", always=True),
    Row("port busy", (r"couldn't bind \S+ to socket",), "lab.board_busy",
        "another OpenOCD runs on this host and holds the port that this one was told to use ({line})",
        "end the other one, and take gdb_port, telnet_port and tcl_port out of the configuration", always=True),
    # -- our own part --
    Row("configuration missing", (r"Can't find .+\.(cfg|tcl)",), "lab.tool_missing",
        "this OpenOCD lacks a configuration file ({line})",
        "`hil doctor` names an OpenOCD that has it; HIL_OPENOCD chooses one"),
    Row("image missing", (r"couldn't open ",), "lab.build_failed", "OpenOCD cannot read the image ({line})",
        "run `hil build`"),
    Row("driver missing", (r"invalid driver|adapter driver .*(unknown|not found|invalid)|invalid command name|"
                           r"flash driver '[^']*' not found|transport '?\w+'? (is )?not selected",),
        "lab.tool_missing", "this OpenOCD lacks a driver or a command the configuration needs ({line})",
        "`hil doctor` names an OpenOCD that has it; HIL_OPENOCD chooses one", "doc"),
    # -- probes --
    Row("probe not allowed", (r"LIBUSB_ERROR_ACCESS|Insufficient permissions|hidapi.*permission",), "lab.probe_missing",
        "the debug probe is there, but this user may not open it",
        "install OpenOCD's udev rules (60-openocd.rules) and join group plugdev", "doc"),
    Row("probe taken", (r"LIBUSB_ERROR_BUSY|unable to claim interface|claim interface failed",), "lab.board_busy",
        "another program holds the debug probe ({line})", PROBE, "doc"),
    Row("no CMSIS-DAP", (r"unable to find a matching CMSIS-DAP device",), "lab.probe_missing",
        "no CMSIS-DAP probe is attached, or none answers", ATTACH),
    Row("no J-Link", (r"No J-Link device found",), "lab.probe_missing",
        "no J-Link is attached, or it does not answer", ATTACH),
    Row("no ST-LINK", (r"Error: open failed",), "lab.probe_missing",
        "no ST-LINK is attached, or it does not answer", ATTACH),
    Row("no probe server", (r"errno==(2|111), message|Failed to connect|Connection refused",), "lab.probe_missing",
        "nothing serves the probe's socket ({line})", "start it (a virtual board: hil-vboard --dir DIR)"),
    Row("probe left", (r"Assertion .*remote_bitbang_recv_buf_empty",), "lab.probe_silent",
        "the probe closed the connection in the middle of the run", PROBE),
    Row("probe died", (r"remote_bitbang_(putc|flush|fill_buf|getc)'?: errno==",), "lab.probe_silent",
        "the probe's end of the connection vanished in the middle of the run", PROBE),
    Row("probe unplugged", (r"LIBUSB_ERROR_NO_DEVICE|LIBUSB_ERROR_PIPE|LIBUSB_ERROR_IO|error writing data|"
                            r"CMSIS-DAP command .* failed",),
        "lab.probe_silent", "the probe vanished from USB in the middle of the run ({line})", PROBE, "doc"),
    # -- the wrong chip --
    Row("wrong device id", (r"Cannot identify target as a STM32 family",), "lab.wrong_board",
        "the microcontroller is none of the family that the configuration describes",
        "attach the target's own board, or correct the target's [flash] config"),
    Row("wrong device id, other drivers", (r"unknown device id|device id .* (not|un)(known|supported)",),
        "lab.wrong_board",
        "the microcontroller is none that this flash driver knows ({line})",
        "attach the target's own board, or use the flasher that `hil doctor` names", "doc"),
    Row("no target", (r"scan chain interrogation failed: all (zeroes|ones)",), "lab.target_unpowered",
        "the probe answers, the board does not ({line})", POWER),
    # -- lost during the work --
    Row("power lost", (r"Debug regions are unpowered, an unexpected reset might have happened",),
        "lab.target_unpowered",
        "the board lost its power, or was reset by somebody, during the work", POWER),
    Row("target lost", (r"Invalid ACK \(\d\) in DAP response",), "lab.target_unpowered",
        "the board stopped answering the probe ({line})", POWER),
    Row("WAIT", (r"DAP transaction stalled \(WAIT\)|Timeout during WAIT recovery",), "lab.flash_failed",
        "the board's debug port answers, its memory never does (a bus that hangs)", CONTACT),
    # -- flash controller --
    Row("write protected", (r"flash memory write protected|flash write failed = 0x00000010",), "lab.flash_protected",
        "the sectors of the image are write-protected", PROTECTION),
    Row("protected", (r"device protected|device security bit set|read protection is (set|enabled)",),
        "lab.flash_protected",
        "read-out or write protection is set; nothing was erased", PROTECTION),
    Row("flash busy", (r"timed out waiting for flash",), "lab.flash_failed",
        "the flash controller never became ready", FLASH),
    Row("loader lost", (r"timeout waiting for algorithm, a target reset is recommended",), "lab.flash_failed",
        "the loader that OpenOCD put into the board's RAM did not end: the board was reset, or its core does not run",
        "see that nothing else resets the board (a watchdog, a power switch), then try again"),
    Row("write error", (r"flash write failed = 0x",), "lab.flash_failed",
        "the flash controller refused to write ({line})", FLASH),
    Row("verify", (r"checksum mismatch|Verify Failed|contents differ|diff \d+ address 0x",), "lab.flash_verify_failed",
        "what was read back differs from the image ({line})", FLASH),
    # -- nobody there --
    Row("no target over SWD", (r"cannot read IDR|unable to connect to the target|init mode failed|"
                               r"target voltage may be too low|Cannot read target voltage|Error connecting DP",),
        "lab.target_unpowered", "the probe answers, the board does not ({line})", POWER, "doc"),
    Row("IR capture", (r"IR capture error|scan chain interrogation failed",), "lab.target_unpowered",
        "the probe answers, but the scan chain is not this board's ({line})", POWER),
    # -- there, but not working --
    Row("AP fault", (r"JTAG-DP STICKY ERROR|SWD DPIDR.*fault|STICKY ERROR",), "lab.flash_failed",
        "the board's debug port answers, its memory bus reports errors", CONTACT),
    Row("no halt", (r"timed out while waiting for target halted|- Not halted",), "lab.flash_failed",
        "the core did not stop after a reset", CONTACT),
    Row("examination", (r"examination failed|Target not examined yet|Could not find MEM-AP|not examined",),
        "lab.flash_failed", "the core behind the debug port could not be examined", CONTACT),
    Row("memory", (r"Failed to (write|read) memory at 0x",), "lab.flash_failed",
        "the board's memory could not be reached ({line})", CONTACT),
    Row("lockup", (r"clearing lockup after double fault",), "lab.flash_failed",
        "the core locked up (a fault within a fault) instead of working", CONTACT),
    Row("probing", (r"auto_probe failed|probe failed",), "lab.flash_failed",
        "OpenOCD could not look at the flash ({line})", CONTACT),
    Row("erase", (r"failed erasing sectors",), "lab.flash_failed", "the flash could not be erased", FLASH),
    Row("reset", (r"Unable to reset target",), "lab.flash_failed", "the board does not obey a reset", CONTACT),
    Row("programming", (r"\*\* Programming Failed \*\*|error writing to flash",), "lab.flash_failed",
        "the image could not be written ({line})", FLASH),
    Row("init", (r"OpenOCD init failed",), "lab.probe_missing", "OpenOCD could not open the probe", ATTACH),
)  # fmt: skip
