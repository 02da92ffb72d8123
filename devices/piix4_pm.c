/*
 * devices/piix4_pm.c -- Intel 82371AB (PIIX4), function 3: power management 8086:7113.
 * Source: Intel 82371AB data sheet (290562), 7 "Power Management"; ACPI specification 2.0, 4.7.3
 * "ACPI Registers".  The placement of GPE0 outside the PM block is that of QEMU's `pc`.
 *
 *   PM base +0 PM1_STS  (w1c)  15 WAK 10 RTC 8 PWRBTN 5 GBL 4 BM 0 TMR
 *           +2 PM1_EN          10 RTC 8 PWRBTN 5 GBL 0 TMR
 *           +4 PM1_CNT         13 SLP_EN (wo) 12:10 SLP_TYP 1 BM_RLD 0 SCI_EN
 *           +8 PM_TMR   (ro)   24 bits at 3.579545 MHz
 *   0xAFE0 GPE0_STS (w1c, 16 bits), +2 GPE0_EN (16 bits)
 *   0xB2 APMC, 0xB3 APMS
 *
 * SCI is high while SCI_EN is set and a status bit is set whose enable bit is set.
 * Deviation: there is no system management mode behind APMC; the ACPI enable and disable commands
 * are carried out by the chip, and DEVACTB says that firmware need not install a handler.
 */
#include "devices/piix4_pm.h"

#include <stdlib.h>

#define CONFIG_PMBASE    0x40
#define CONFIG_DEVACTB   0x58
#define CONFIG_PMREGMISC 0x80
#define CONFIG_SMBBA     0x90
#define CONFIG_SMBHSTCFG 0xD2
#define DEVACTB3_APMC_EN 0x02 /* bit 25 of DEVACTB */

#define PM_SIZE  64
#define SMB_SIZE 16

#define PM1_TMR       0x0001
#define PM1_GBL       0x0020
#define PM1_PWRBTN    0x0100
#define PM1_RTC       0x0400
#define PM1_WAK       0x8000
#define PM1_STS_BITS  0x8D31
#define PM1_EN_BITS   0x0521
#define PM1_EVENTS    (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)
#define CNT_SCI_EN    0x0001
#define CNT_SLP_TYP   0x1C00
#define CNT_SLP_SHIFT 10
#define CNT_SLP_EN    0x2000
#define CNT_WRITABLE  0x1C03

#define PM_TIMER_HZ   3579545
#define PM_TIMER_MASK 0xFFFFFFu
#define PM_TIMER_HALF 0x800000u /* TMR_STS is set whenever bit 23 changes */
#define NS_PER_SECOND UINT64_C(1000000000)

#define APM_PORTS 2

#define SMBHSTSTS         0
#define SMBHSTCNT         2
#define SMBHSTCNT_START   0x40
#define SMBHSTSTS_DEV_ERR 0x04
#define SMBHSTSTS_CLEARS  0x1E

struct piix4_pm {
    struct bus *bus;
    struct pci_function pci;
    struct clock *clock;
    struct line *sci, *power_off; /* owned by the board */
    struct clock_timer timer;     /* next change of PM_TMR's bit 23 */
    uint64_t half_periods;        /* how many of its changes have been noted in TMR_STS */
    uint16_t pm1_status, pm1_enable, pm1_control;
    uint16_t gpe_status, gpe_enable;
    uint8_t apm[APM_PORTS];
    uint8_t smb[SMB_SIZE];
    uint16_t pm_mapped, smb_mapped; /* 0: not mapped */
};

/* ---- PM timer and SCI ---- */

static uint64_t ticks_now(const struct piix4_pm *dev)
{
    return clock_scale(clock_now_ns(dev->clock), PM_TIMER_HZ, NS_PER_SECOND);
}

static void sci_update(struct piix4_pm *dev)
{
    const bool event =
        (dev->pm1_status & dev->pm1_enable & PM1_EVENTS) || (dev->gpe_status & dev->gpe_enable);

    line_set(dev->sci, event && (dev->pm1_control & CNT_SCI_EN));
}

/* Bring TMR_STS up to date, and wake at its next change if anybody is to be told. */
static void timer_update(struct piix4_pm *dev)
{
    const uint64_t half_periods = ticks_now(dev) / PM_TIMER_HALF;

    if (half_periods != dev->half_periods) {
        dev->half_periods = half_periods;
        dev->pm1_status |= PM1_TMR;
    }
    if ((dev->pm1_enable & PM1_TMR) && !(dev->pm1_status & PM1_TMR))
        clock_arm(dev->clock, &dev->timer,
                  clock_scale((half_periods + 1) * PM_TIMER_HALF, NS_PER_SECOND, PM_TIMER_HZ) + 1);
    else
        clock_cancel(dev->clock, &dev->timer);
    sci_update(dev);
}

static void timer_fired(void *ctx, uint64_t now_ns)
{
    (void)now_ns;
    timer_update(ctx);
}

/* ---- PM block ---- */

static uint16_t pm_register_read(struct piix4_pm *dev, unsigned offset)
{
    switch (offset) {
    case 0:
        timer_update(dev);
        return dev->pm1_status;
    case 2:
        return dev->pm1_enable;
    case 4:
        return dev->pm1_control;
    case 8:
        return (uint16_t)ticks_now(dev);
    case 10:
        return (uint16_t)((ticks_now(dev) & PM_TIMER_MASK) >> 16);
    default:
        return 0;
    }
}

static uint32_t pm_read(void *ctx, uint16_t offset, unsigned size)
{
    struct piix4_pm *dev = ctx;
    uint32_t value;

    if (offset == 8 && size == 4)
        return ticks_now(dev) & PM_TIMER_MASK; /* both halves of one moment */
    value = pm_register_read(dev, offset & ~1u);
    if (offset & 1)
        value >>= 8;
    else if (size == 4)
        value |= (uint32_t)pm_register_read(dev, offset + 2u) << 16;
    return value;
}

static void control_write(struct piix4_pm *dev, uint16_t value)
{
    dev->pm1_control = (dev->pm1_control & ~CNT_WRITABLE) | (value & CNT_WRITABLE);
    sci_update(dev);
    if (!(value & CNT_SLP_EN))
        return;
    if ((value & CNT_SLP_TYP) >> CNT_SLP_SHIFT == PIIX4_SLP_TYP_S5)
        line_pulse(dev->power_off);
    else
        bus_log_once(dev->bus, "piix4_pm", value & CNT_SLP_TYP, "sleep state not supported");
}

/* mask: which of the register's bits the access carries. */
static void pm_register_write(struct piix4_pm *dev, unsigned offset, uint16_t value, uint16_t mask)
{
    switch (offset) {
    case 0:
        timer_update(dev);
        dev->pm1_status &= (uint16_t) ~(value & mask & PM1_STS_BITS);
        timer_update(dev);
        break;
    case 2:
        timer_update(dev);
        dev->pm1_enable = (dev->pm1_enable & ~mask) | (value & mask & PM1_EN_BITS);
        timer_update(dev);
        break;
    case 4:
        control_write(dev, (dev->pm1_control & ~mask) | (value & mask));
        break;
    case 8:
    case 10:
        break; /* the timer cannot be set */
    default:
        bus_log_once(dev->bus, "piix4_pm", offset, "write to unimplemented PM register");
        break;
    }
}

static void pm_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix4_pm *dev = ctx;

    if (size == 1) {
        const unsigned shift = offset % 2 * 8;

        pm_register_write(dev, offset & ~1u, (uint16_t)(value << shift), (uint16_t)(0xFF << shift));
        return;
    }
    pm_register_write(dev, offset & ~1u, (uint16_t)value, 0xFFFF);
    if (size == 4)
        pm_register_write(dev, (offset & ~1u) + 2, (uint16_t)(value >> 16), 0xFFFF);
}

static const struct io_ops pm_ports = {
    .name = "piix4-pm", .max_size = 4, .read = pm_read, .write = pm_write};

/* ---- SMBus host: present, with nothing on the wires ---- */

static uint32_t smb_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct piix4_pm *dev = ctx;

    (void)size;
    return dev->smb[offset];
}

static void smb_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix4_pm *dev = ctx;

    (void)size;
    if (offset == SMBHSTSTS) {
        dev->smb[SMBHSTSTS] &= (uint8_t) ~(value & SMBHSTSTS_CLEARS);
        return;
    }
    dev->smb[offset] = (uint8_t)value;
    if (offset == SMBHSTCNT && (value & SMBHSTCNT_START)) {
        dev->smb[SMBHSTCNT] &= (uint8_t)~SMBHSTCNT_START;
        dev->smb[SMBHSTSTS] |= SMBHSTSTS_DEV_ERR; /* no device acknowledged */
    }
}

static const struct io_ops smb_ports = {
    .name = "piix4-smbus", .max_size = 1, .read = smb_read, .write = smb_write};

/* ---- GPE0 and APM ports ---- */

static uint32_t gpe_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct piix4_pm *dev = ctx;
    const uint16_t value = offset < 2 ? dev->gpe_status : dev->gpe_enable;

    (void)size;
    return value >> (offset % 2 * 8) & 0xFF;
}

static void gpe_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix4_pm *dev = ctx;
    const unsigned shift = offset % 2 * 8;

    (void)size;
    if (offset < 2)
        dev->gpe_status &= (uint16_t) ~((value & 0xFF) << shift);
    else
        dev->gpe_enable =
            (uint16_t)((dev->gpe_enable & ~(0xFFu << shift)) | (value & 0xFF) << shift);
    sci_update(dev);
}

static const struct io_ops gpe_ports = {
    .name = "piix4-gpe0", .max_size = 1, .read = gpe_read, .write = gpe_write};

static uint32_t apm_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct piix4_pm *dev = ctx;

    (void)size;
    return dev->apm[offset];
}

static void apm_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct piix4_pm *dev = ctx;

    (void)size;
    dev->apm[offset] = (uint8_t)value;
    if (offset != 0)
        return;
    if (value == PIIX4_ACPI_ENABLE)
        dev->pm1_control |= CNT_SCI_EN;
    else if (value == PIIX4_ACPI_DISABLE)
        dev->pm1_control &= (uint16_t)~CNT_SCI_EN;
    sci_update(dev);
}

static const struct io_ops apm_ports = {
    .name = "piix4-apm", .max_size = 1, .read = apm_read, .write = apm_write};

/* ---- PCI function ---- */

static void block_move(struct piix4_pm *dev, uint16_t *mapped, uint16_t wanted, unsigned size,
                       const struct io_ops *ops)
{
    if (*mapped == wanted)
        return;
    if (*mapped != 0)
        bus_unmap_io(dev->bus, *mapped, size);
    *mapped = 0;
    if (wanted == 0)
        return;
    if (bus_map_io(dev->bus, wanted, size, ops, dev) == 0)
        *mapped = wanted;
    else
        bus_log_once(dev->bus, "piix4_pm", wanted, "I/O block placed on ports that are taken");
}

static void blocks_update(struct piix4_pm *dev)
{
    const uint16_t pm = pci_get16(&dev->pci, CONFIG_PMBASE) & (uint16_t) ~(PM_SIZE - 1);
    const uint16_t smb = pci_get16(&dev->pci, CONFIG_SMBBA) & (uint16_t) ~(SMB_SIZE - 1);

    block_move(dev, &dev->pm_mapped, dev->pci.config[CONFIG_PMREGMISC] & 1 ? pm : 0, PM_SIZE,
               &pm_ports);
    block_move(dev, &dev->smb_mapped, dev->pci.config[CONFIG_SMBHSTCFG] & 1 ? smb : 0, SMB_SIZE,
               &smb_ports);
}

static void config_written(void *ctx, unsigned offset, unsigned size)
{
    (void)offset;
    (void)size;
    blocks_update(ctx);
}

void piix4_pm_map(struct piix4_pm *dev)
{
    pci_set32(&dev->pci, CONFIG_PMBASE, PIIX4_PM_BASE | 1);
    pci_set8(&dev->pci, CONFIG_PMREGMISC, 1);
    pci_set32(&dev->pci, CONFIG_SMBBA, PIIX4_SMB_BASE | 1);
    pci_set8(&dev->pci, CONFIG_SMBHSTCFG, 9); /* on, interrupt by IRQ 9 */
    pci_set8(&dev->pci, PCI_INTERRUPT_LINE, PIIX4_SCI_IRQ);
    blocks_update(dev);
}

void piix4_pm_reset(struct piix4_pm *dev)
{
    pci_function_reset(&dev->pci);
    pci_set16(&dev->pci, PCI_STATUS, 0x0280);
    for (unsigned i = 0x40; i < PCI_CONFIG_SIZE; i++)
        pci_set8(&dev->pci, i, 0);
    pci_set32(&dev->pci, CONFIG_PMBASE, 1);
    pci_set32(&dev->pci, CONFIG_SMBBA, 1);
    pci_set8(&dev->pci, CONFIG_DEVACTB + 3, DEVACTB3_APMC_EN);
    dev->pm1_status = dev->pm1_enable = dev->pm1_control = 0;
    dev->gpe_status = dev->gpe_enable = 0;
    for (unsigned i = 0; i < APM_PORTS; i++)
        dev->apm[i] = 0;
    for (unsigned i = 0; i < SMB_SIZE; i++)
        dev->smb[i] = 0;
    dev->half_periods = ticks_now(dev) / PM_TIMER_HALF;
    blocks_update(dev);
    timer_update(dev);
}

void piix4_pm_power_button(struct piix4_pm *dev)
{
    dev->pm1_status |= PM1_PWRBTN;
    sci_update(dev);
}

struct piix4_pm *piix4_pm_create(struct bus *bus, struct pci_bus *pci, struct clock *clock,
                                 struct line *sci, struct line *power_off)
{
    struct piix4_pm *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->sci = sci;
    dev->power_off = power_off;
    dev->timer.fire = timer_fired;
    dev->timer.ctx = dev;
    pci_init(&dev->pci, "piix4_pm", dev, 0x8086, 0x7113, 3, 0x068000);
    pci_set8(&dev->pci, PCI_INTERRUPT_PIN, 1);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_VENDOR_ID, 0x1AF4);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_ID, 0x1100);
    dev->pci.config_written = config_written;
    for (unsigned i = 0x40; i < PCI_CONFIG_SIZE; i++)
        dev->pci.writable[i] = 0xFF;
    dev->pci.writable[CONFIG_PMBASE] = 0xC0;
    dev->pci.writable[CONFIG_PMBASE + 2] = dev->pci.writable[CONFIG_PMBASE + 3] = 0;
    dev->pci.writable[CONFIG_SMBBA] = 0xF0;
    dev->pci.writable[CONFIG_SMBBA + 2] = dev->pci.writable[CONFIG_SMBBA + 3] = 0;
    if (bus_map_io(bus, PIIX4_SMI_CMD, APM_PORTS, &apm_ports, dev) != 0)
        goto fail;
    if (bus_map_io(bus, PIIX4_GPE0_BASE, PIIX4_GPE0_SIZE, &gpe_ports, dev) != 0)
        goto fail_apm;
    if (pci_add(pci, &dev->pci, PCI_DEVFN(1, 3)) != 0)
        goto fail_gpe;
    return dev;
fail_gpe:
    bus_unmap_io(bus, PIIX4_GPE0_BASE, PIIX4_GPE0_SIZE);
fail_apm:
    bus_unmap_io(bus, PIIX4_SMI_CMD, APM_PORTS);
fail:
    free(dev);
    return NULL;
}

void piix4_pm_destroy(struct piix4_pm *dev)
{
    if (dev == NULL)
        return;
    clock_cancel(dev->clock, &dev->timer);
    if (dev->pm_mapped != 0)
        bus_unmap_io(dev->bus, dev->pm_mapped, PM_SIZE);
    if (dev->smb_mapped != 0)
        bus_unmap_io(dev->bus, dev->smb_mapped, SMB_SIZE);
    bus_unmap_io(dev->bus, PIIX4_GPE0_BASE, PIIX4_GPE0_SIZE);
    bus_unmap_io(dev->bus, PIIX4_SMI_CMD, APM_PORTS);
    free(dev);
}
