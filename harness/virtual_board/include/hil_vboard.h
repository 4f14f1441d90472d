/* hil-vboard: a board without hardware, that the unmodified OpenOCD programs, verifies, resets and runs.
 *
 *   hil-vboard --dir DIR [--part PART] [--machine netduinoplus2|none] [--qemu PROGRAM] [--image-state FILE]
 *              [--power on|off]
 *
 * PART is stm32f405 (the default), stm32f401, stm32f429 or stm32h563. In DIR, which is made when it is
 * not there:
 *
 *   jtag.sock           remote_bitbang server (JTAG): `adapter driver remote_bitbang`,
 *                       `remote_bitbang host DIR/jtag.sock`, `remote_bitbang port 0`, then the stock
 *                       target/stm32f4x.cfg. One client; a second is closed at once.
 *   control.sock        the lines below
 *   console             symlink to the pty of USART1; it stays the same through resets and power cycles
 *   uplink              symlink to the pty of USART2
 *   boot.bin, qemu.log  what the emulator runs, and what it said; replaced at each start
 *
 * READY on stdout when all of them exist. Ends on SIGTERM, SIGINT, SIGHUP or end of stdin, and takes its
 * emulator with it; a killed hil-vboard takes it along, too.
 * Exit: 0, HIL_VBOARD_FAILED, HIL_VBOARD_USAGE.
 *
 * The board powers up with what FILE holds (--image-state: raw flash contents, written back atomically at
 * each start of the image and at the end; what fails is in the log, and at the end on stderr), else with
 * erased flash. The image starts in QEMU when the core leaves reset or is resumed, and ends with a halt, a
 * reset, or the power. Both UARTs have QEMU's back-pressure; a pty that nobody reads for 200 ms loses bytes.
 * The pty is raw; what it held before a reader opens it is still in it (4 KB): flush first.
 *
 * Control lines, each answered by one line `OK ...` or `ERR ...` (log and faults: `OK n` and n lines more):
 *
 *   status                      key=value words: part power core (off, reset, halted, code, firmware,
 *                               lockup or idle) boots resets halts power_cycles programmed erased
 *                               instructions clocks armed emulator (none, starting or running) pid
 *                               console_bytes console_lost uplink_bytes uplink_lost probe (free or
 *                               held) sessions refused note="how the emulator ended by itself"
 *   power on|off|cycle
 *   reset                       an NRST pulse
 *   fault NAME [NUMBER]         from now on, or, with a name in _mid_write and some others, after NUMBER
 *                               programmings of the flash (a half-word each); several may be in force.
 *   faults                      lists them
 *   heal reset|power|never      what makes the faults go away by itself
 *   clear                       forgets all faults; option bytes (rdp1, nwrp) go back to their defaults
 *   read ADDRESS LENGTH FILE    flash or RAM into a file
 *   sha256 ADDRESS LENGTH
 *   log                         what the board did
 *
 * What it proves: our use of OpenOCD, its drivers and loaders, and how its messages are judged. What it does
 * not: ST-LINK, USB, SWD, electrical behaviour, the time flash takes, errata. In particular
 *   - a halt ends the emulation of the image, whose registers and RAM a debugger never sees; the core
 *     then stands at its reset handler, and a resume starts the image anew;
 *   - read protection keeps the debugger from the flash, and not the image from running beside it;
 *   - the image's own flash writes stay inside the emulator;
 *   - stm32h563 has the debug port, core and flash controller, but no emulation of its image, and
 *     Debian's OpenOCD has no flash driver for it.
 */
#ifndef HIL_VBOARD_H
#define HIL_VBOARD_H

enum { HIL_VBOARD_FAILED = 1, HIL_VBOARD_USAGE = 2 };

#endif
