/* CMSDK: the shared part of boards built from Arm's Cortex-M System Design Kit peripherals (MPS2 FPGA images,
 * as QEMU emulates them). Each board gives its addresses in board_config.h:
 *
 *   HIL_BOARD_NAME, HIL_CLOCK_HZ                 name in the boot line; clock of CPU, timer, UART and
 * watchdog HIL_UART0_BASE, HIL_UART0_RX_IRQ             CMSDK APB UART HIL_TIMER0_BASE CMSDK APB timer, used
 * as the free-running clock HIL_WATCHDOG_BASE                            CMSDK APB watchdog, its interrupt
 * wired to NMI HIL_LAN9118_BASE, HIL_LAN9118_IRQ            Ethernet HIL_IP_ADDRESS, _NETMASK, _GATEWAY, _DNS
 * the static address (HIL_NET_DHCP asks a server instead)
 */
#ifndef HIL_CMSDK_H
#define HIL_CMSDK_H

#include <stdbool.h>
#include <stdint.h>

#include "board_config.h"
#include "hil/board.h"

#define HIL_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Armv7-M / Armv8-M system control space. */
#define HIL_SYST_CSR  HIL_REG(0xE000E010u)
#define HIL_SYST_RVR  HIL_REG(0xE000E014u)
#define HIL_SYST_CVR  HIL_REG(0xE000E018u)
#define HIL_NVIC_ISER ((volatile uint32_t *)0xE000E100u)
#define HIL_SCB_ICSR  HIL_REG(0xE000ED04u)
#define HIL_SCB_VTOR  HIL_REG(0xE000ED08u)
#define HIL_SCB_AIRCR HIL_REG(0xE000ED0Cu)
#define HIL_SCB_SHCSR HIL_REG(0xE000ED24u)
#define HIL_SCB_CFSR  HIL_REG(0xE000ED28u)
#define HIL_SCB_HFSR  HIL_REG(0xE000ED2Cu)
#define HIL_SCB_MMFAR HIL_REG(0xE000ED34u)
#define HIL_SCB_BFAR  HIL_REG(0xE000ED38u)
#define HIL_SCB_CPACR HIL_REG(0xE000ED88u)

#define HIL_SHCSR_MEMFAULTENA (1u << 16)
#define HIL_ICSR_PENDSTCLR    (1u << 25)
#define HIL_AIRCR_RESET       0x05FA0004u
#define HIL_CPACR_FPU         (0xFu << 20)

static inline uint32_t hil_irq_save(void) {
    uint32_t primask;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(primask)::"memory");
    return primask;
}

static inline void hil_irq_restore(uint32_t primask) {
    __asm volatile("msr primask, %0" ::"r"(primask) : "memory");
}

static inline void hil_irq_enable(unsigned irq) {
    HIL_NVIC_ISER[irq / 32u] = 1u << (irq % 32u);
}

static inline void hil_barrier(void) {
    __asm volatile("dsb\n\tisb" ::: "memory");
}

/* clock.c */
void hil_clock_start(void);
uint32_t hil_clock_cycles(void); /* free-running, counts up, wraps */
/* Sleeps until an interrupt or `ms` (bounded by SysTick's 24 bits); call with interrupts masked. */
void hil_clock_sleep(uint32_t ms);
void hil_jitter_stir(void); /* from interrupts: collects the time of arrival */

/* uart.c */
void hil_uart_start(void);
bool hil_uart_has_input(void);
/* Write without interrupts, for the fault handlers. */
void hil_uart_write_polled(const void *data, size_t len);

/* mpu.c */
void hil_mpu_start(void);

/* startup.c: survives a reset, not a power cycle; lies outside everything the loader writes. */
struct hil_marker {
    uint32_t magic;
    uint32_t cause;
};
extern volatile struct hil_marker hil_marker;
enum hil_reset hil_marker_take(void);
void hil_marker_set(enum hil_reset cause);

/* Limits from the linker script. */
extern uint32_t hil_stack_limit[], hil_stack_top[], hil_heap_start[], hil_heap_limit[];
extern uint32_t hil_code_start[], hil_code_end[];

/* syscalls.c */
void hil_heap_marks(size_t *peak, size_t *now);

/* Interrupt handlers, by the file that owns the device. */
void hil_systick_handler(void);
void hil_uart_rx_handler(void);
void hil_lan9118_handler(void);
void hil_hardfault_handler(void);
void hil_memmanage_handler(void);
void hil_nmi_handler(void);
void hil_unexpected_handler(void);

#endif
