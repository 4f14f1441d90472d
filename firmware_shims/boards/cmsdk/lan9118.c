/* SMSC LAN9118 in 32-bit mode, interrupt driven. Frames move by programmed I/O between the FIFOs and lwIP's
 * pbufs.
 *
 * The RX level interrupt fires on arrival only, so the order is: clear, drain, enable. A frame that arrives
 * in between sets the status again and interrupts at once when enabled.
 */
#include <string.h>

#include "cmsdk.h"
#include "lwip/pbuf.h"
#include "net/port.h"

#define ETH(offset)  HIL_REG(HIL_LAN9118_BASE + (offset))
#define RX_DATA      ETH(0x00u)
#define TX_DATA      ETH(0x20u)
#define RX_STATUS    ETH(0x40u)
#define IRQ_CFG      ETH(0x54u)
#define INT_STS      ETH(0x58u)
#define INT_EN       ETH(0x5Cu)
#define BYTE_TEST    ETH(0x64u)
#define FIFO_INT     ETH(0x68u)
#define RX_CFG       ETH(0x6Cu)
#define TX_CFG       ETH(0x70u)
#define HW_CFG       ETH(0x74u)
#define RX_FIFO_INF  ETH(0x7Cu)
#define TX_FIFO_INF  ETH(0x80u)
#define MAC_CSR_CMD  ETH(0xA4u)
#define MAC_CSR_DATA ETH(0xA8u)

#define BYTE_TEST_VALUE 0x87654321u
#define IRQ_ON_HIGH     0x111u /* enable; active high; push-pull */
#define INT_RSFL        (1u << 3)
#define INT_PHY         (1u << 18)
#define HW_SRST         1u
#define TX_ON           (2u | 4u) /* transmit; the status FIFO may overrun, nobody reads it */
#define TX_FIRST_LAST   0x3000u
#define RX_ERROR        (1u << 15)
#define CSR_BUSY        (1u << 31)
#define CSR_READ        (1u << 30)
#define MAC_CR          1u
#define MAC_ADDRH       2u
#define MAC_ADDRL       3u
#define MAC_MII_ACC     6u
#define MAC_MII_DATA    7u
#define MAC_CR_RUN      (0x00100000u | 8u | 4u) /* full duplex, transmit, receive */
#define MII_PHY         (1u << 11)
#define MII_WRITE       2u
#define MII_BUSY        1u
#define PHY_STATUS      1u
#define PHY_INT_SOURCE  29u
#define PHY_INT_MASK    30u
#define PHY_LINK        (1u << 2)
#define PHY_INT_CHANGE  0x50u /* link down, negotiation complete */
#define FRAME_MAX       1518u
#define SPIN_MAX        100000u
#define RX_STATUS_MAX   256u /* more than its FIFO has places */

static volatile bool pending;
static bool link_up;

static void wait_csr(void) {
    for (uint32_t i = 0; i < SPIN_MAX && (MAC_CSR_CMD & CSR_BUSY) != 0; i++) {
    }
}

static uint32_t mac_read(uint32_t reg) {
    MAC_CSR_CMD = CSR_BUSY | CSR_READ | reg;
    wait_csr();
    return MAC_CSR_DATA;
}

static void mac_write(uint32_t reg, uint32_t value) {
    MAC_CSR_DATA = value;
    MAC_CSR_CMD = CSR_BUSY | reg;
    wait_csr();
}

static void wait_mii(void) {
    for (uint32_t i = 0; i < SPIN_MAX && (mac_read(MAC_MII_ACC) & MII_BUSY) != 0; i++) {
    }
}

static uint32_t phy_read(uint32_t reg) {
    mac_write(MAC_MII_ACC, MII_PHY | (reg << 6) | MII_BUSY);
    wait_mii();
    return mac_read(MAC_MII_DATA) & 0xFFFFu;
}

static void phy_write(uint32_t reg, uint32_t value) {
    mac_write(MAC_MII_DATA, value);
    mac_write(MAC_MII_ACC, MII_PHY | (reg << 6) | MII_WRITE | MII_BUSY);
    wait_mii();
}

/* The link bit latches low: the first read gives the past, the second the present. */
static void read_link(void) {
    (void)phy_read(PHY_STATUS);
    link_up = (phy_read(PHY_STATUS) & PHY_LINK) != 0;
}

int hil_eth_start(uint8_t mac[6]) {
    if (BYTE_TEST != BYTE_TEST_VALUE) {
        return -1;
    }
    HW_CFG = HW_SRST;
    for (uint32_t i = 0; i < SPIN_MAX && (HW_CFG & HW_SRST) != 0; i++) {
    }
    if ((HW_CFG & HW_SRST) != 0) {
        return -1;
    }
    uint32_t low = mac_read(MAC_ADDRL);
    uint32_t high = mac_read(MAC_ADDRH);
    for (uint32_t i = 0; i < 4; i++) {
        mac[i] = (uint8_t)(low >> (8u * i));
    }
    mac[4] = (uint8_t)high;
    mac[5] = (uint8_t)(high >> 8);
    INT_EN = 0;
    INT_STS = 0xFFFFFFFFu;
    FIFO_INT = 0x48000000u; /* interrupt from the first frame on */
    IRQ_CFG = IRQ_ON_HIGH;
    RX_CFG = 0;
    TX_CFG = TX_ON;
    mac_write(MAC_CR, MAC_CR_RUN);
    phy_write(PHY_INT_MASK, PHY_INT_CHANGE);
    (void)phy_read(PHY_INT_SOURCE);
    read_link();
    hil_irq_enable(HIL_LAN9118_IRQ);
    INT_EN = INT_RSFL | INT_PHY;
    return 0;
}

bool hil_eth_link(void) {
    return link_up;
}

bool hil_eth_pending(void) {
    return pending;
}

void hil_lan9118_handler(void) {
    INT_EN = 0;
    pending = true;
    hil_jitter_stir();
}

static struct pbuf *read_frame(void) {
    uint32_t status = RX_STATUS;
    uint32_t bytes = (status >> 16) & 0x3FFFu; /* with the checksum */
    uint32_t words = (bytes + 3u) / 4u;
    struct pbuf *frame = NULL;
    if ((status & RX_ERROR) == 0 && bytes > 18u && bytes <= FRAME_MAX) {
        frame = pbuf_alloc(PBUF_RAW, (u16_t)(words * 4u), PBUF_POOL);
    }
    if (frame != NULL && frame->len != frame->tot_len) {
        pbuf_free(frame); /* the pool's buffers hold a whole frame; a chain would mean they do not */
        frame = NULL;
    }
    if (frame == NULL) {
        while (words-- > 0) {
            (void)RX_DATA;
        }
        return NULL;
    }
    uint32_t *out = frame->payload;
    while (words-- > 0) {
        *out++ = RX_DATA;
    }
    pbuf_realloc(frame, (u16_t)(bytes - 4u));
    return frame;
}

struct pbuf *hil_eth_input(void) {
    if (pending) {
        pending = false;
        uint32_t causes = INT_STS;
        INT_STS = causes;
        if ((causes & INT_PHY) != 0) {
            (void)phy_read(PHY_INT_SOURCE);
            read_link();
        }
    }
    /* Bounded: a controller that is gone reads all ones, and so always says that there is more. */
    for (uint32_t i = 0; i < RX_STATUS_MAX && ((RX_FIFO_INF >> 16) & 0xFFu) != 0; i++) {
        struct pbuf *frame = read_frame();
        if (frame != NULL) {
            return frame;
        }
    }
    uint32_t mask = hil_irq_save();
    if (!pending) {
        INT_EN = INT_RSFL | INT_PHY;
    }
    hil_irq_restore(mask);
    return NULL;
}

int hil_eth_output(const struct pbuf *frame) {
    static uint32_t words[(FRAME_MAX + 3u) / 4u];
    uint32_t bytes = frame->tot_len;
    if (bytes == 0 || bytes > FRAME_MAX) {
        return -1;
    }
    uint32_t count = (bytes + 3u) / 4u;
    uint32_t spin = 0;
    while ((TX_FIFO_INF & 0xFFFFu) < 4u * (count + 2u)) {
        if (++spin > SPIN_MAX) {
            return -1;
        }
    }
    words[count - 1u] = 0;
    (void)pbuf_copy_partial(frame, words, (u16_t)bytes, 0);
    TX_DATA = TX_FIRST_LAST | bytes;
    TX_DATA = bytes;
    for (uint32_t i = 0; i < count; i++) {
        TX_DATA = words[i];
    }
    return 0;
}
