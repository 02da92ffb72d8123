/*
 * tests/devices/test_pci.c -- configuration mechanism 1, BARs, interrupt pins, and the chipset
 * functions: host bridge, ISA bridge, power management.
 */
#include "fake.h"

#include "devices/i440fx.h"
#include "devices/pci.h"
#include "devices/piix3.h"
#include "devices/piix4_pm.h"

#define CF8 0xCF8
#define CFC 0xCFC

/* ---- a bus whose memory side only remembers what was asked ---- */

struct mapping {
    uint64_t base, size, offset;
    bool used, writable, backing;
};

static struct mapping mappings[8];

static int map(uint64_t base, uint64_t size, uint64_t offset, bool writable, bool backing)
{
    for (unsigned i = 0; i < 8; i++) {
        if (mappings[i].used)
            continue;
        mappings[i] = (struct mapping){base, size, offset, true, writable, backing};
        return 0;
    }
    return -1;
}

static int map_mmio(void *ctx, uint64_t base, uint64_t size, const struct bus_mmio_ops *ops,
                    void *dev)
{
    (void)ctx;
    (void)ops;
    (void)dev;
    return map(base, size, 0, true, false);
}

static int map_backing(void *ctx, uint64_t base, uint64_t size, uint64_t offset, bool writable)
{
    (void)ctx;
    return map(base, size, offset, writable, true);
}

static int unmap(void *ctx, uint64_t base, uint64_t size)
{
    (void)ctx;
    for (unsigned i = 0; i < 8; i++) {
        if (mappings[i].used && mappings[i].base == base && mappings[i].size == size) {
            mappings[i].used = false;
            return 0;
        }
    }
    return -1;
}

static const struct mapping *mapped_at(uint64_t base)
{
    for (unsigned i = 0; i < 8; i++) {
        if (mappings[i].used && mappings[i].base == base)
            return &mappings[i];
    }
    return NULL;
}

static unsigned mapped_count(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < 8; i++)
        count += mappings[i].used;
    return count;
}

struct rig {
    struct fake fake;
    struct pci_bus *pci;
};

static void rig_open(struct rig *rig)
{
    const struct bus_memory memory = {
        .map_mmio = map_mmio, .map_backing = map_backing, .unmap = unmap};

    memset(mappings, 0, sizeof(mappings));
    fake_open(&rig->fake);
    bus_destroy(rig->fake.bus);
    rig->fake.bus = bus_create(&memory);
    rig->pci = pci_create(rig->fake.bus);
    assert_non_null(rig->pci);
}

static void rig_close(struct rig *rig)
{
    pci_destroy(rig->pci);
    assert_int_equal(mapped_count(), 0);
    fake_close(&rig->fake);
}

static void select_register(struct rig *rig, uint8_t devfn, unsigned offset)
{
    bus_io_write(rig->fake.bus, CF8, 4, 0x80000000u | (uint32_t)devfn << 8 | (offset & 0xFC));
}

static uint32_t config_read(struct rig *rig, uint8_t devfn, unsigned offset, unsigned size)
{
    select_register(rig, devfn, offset);
    return bus_io_read(rig->fake.bus, (uint16_t)(CFC + (offset & 3)), size);
}

static void config_write(struct rig *rig, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value)
{
    select_register(rig, devfn, offset);
    bus_io_write(rig->fake.bus, (uint16_t)(CFC + (offset & 3)), size, value);
}

/* ---- a function to play with ---- */

static uint32_t io_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)ctx;
    (void)size;
    return 0x40u + offset;
}

static void io_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)ctx;
    (void)offset;
    (void)size;
    (void)value;
}

static const struct io_ops io_ops = {
    .name = "toy", .max_size = 1, .read = io_read, .write = io_write};
static const struct bus_mmio_ops mmio_ops = {.name = "toy"};

#define TOY PCI_DEVFN(3, 0)

static void toy_open(struct rig *rig, struct pci_function *fn)
{
    pci_init(fn, "toy", NULL, 0x1AF4, 0x1234, 7, 0x020000);
    pci_set8(fn, PCI_INTERRUPT_PIN, 1);
    pci_bar_mmio(fn, 0, 0x2000, &mmio_ops);
    pci_bar_io(fn, 1, 0x20, &io_ops);
    pci_bar_backing(fn, 2, 0x100000, 0x500000);
    pci_bar_backing(fn, PCI_BAR_ROM, 0x10000, 0x700000);
    assert_int_equal(pci_add(rig->pci, fn, TOY), 0);
}

static void test_mechanism(void **state)
{
    struct rig rig;
    struct pci_function fn;

    (void)state;
    rig_open(&rig);
    toy_open(&rig, &fn);
    assert_int_not_equal(pci_add(rig.pci, &fn, TOY), 0); /* the place is taken */
    assert_int_equal(config_read(&rig, TOY, 0, 4), 0x12341AF4);
    assert_int_equal(config_read(&rig, TOY, 2, 2), 0x1234);
    assert_int_equal(config_read(&rig, TOY, 8, 4), 0x02000007);
    assert_int_equal(config_read(&rig, TOY, 11, 1), 2);
    assert_int_equal(config_read(&rig, PCI_DEVFN(4, 0), 0, 4), UINT32_MAX);
    /* another bus, and the enable bit off: nobody answers */
    bus_io_write(rig.fake.bus, CF8, 4, 0x80010000u | TOY << 8);
    assert_int_equal(bus_io_read(rig.fake.bus, CFC, 4), UINT32_MAX);
    bus_io_write(rig.fake.bus, CF8, 4, (uint32_t)TOY << 8);
    assert_int_equal(bus_io_read(rig.fake.bus, CFC, 4), UINT32_MAX);
    /* reserved bits of the address read as 0; narrow accesses do not reach it */
    bus_io_write(rig.fake.bus, CF8, 4, UINT32_MAX);
    assert_int_equal(bus_io_read(rig.fake.bus, CF8, 4), 0x80FFFFFC);
    bus_io_write(rig.fake.bus, CF8, 1, 0);
    bus_io_write(rig.fake.bus, CF8, 2, 0);
    assert_int_equal(bus_io_read(rig.fake.bus, CF8, 4), 0x80FFFFFC);
    /* identification cannot be written, the interrupt line can */
    config_write(&rig, TOY, 0, 4, 0);
    config_write(&rig, TOY, PCI_INTERRUPT_LINE, 4, UINT32_MAX);
    assert_int_equal(config_read(&rig, TOY, 0, 4), 0x12341AF4);
    assert_int_equal(config_read(&rig, TOY, PCI_INTERRUPT_LINE, 2), 0x01FF);
    /* an access that runs past the end of the last register */
    select_register(&rig, TOY, 0xFC);
    (void)bus_io_read(rig.fake.bus, CFC + 3, 4);
    bus_io_write(rig.fake.bus, CFC + 3, 4, UINT32_MAX);
    rig_close(&rig);
}

static void test_bars(void **state)
{
    struct rig rig;
    struct pci_function fn;

    (void)state;
    rig_open(&rig);
    toy_open(&rig, &fn);
    /* sizing */
    for (unsigned i = 0; i < 6; i++)
        config_write(&rig, TOY, PCI_BAR0 + 4 * i, 4, UINT32_MAX);
    config_write(&rig, TOY, PCI_ROM_ADDRESS, 4, UINT32_MAX);
    assert_int_equal(config_read(&rig, TOY, 0x10, 4), 0xFFFFE000);
    assert_int_equal(config_read(&rig, TOY, 0x14, 4), 0xFFFFFFE1);
    assert_int_equal(config_read(&rig, TOY, 0x18, 4), 0xFFF00008);
    assert_int_equal(config_read(&rig, TOY, 0x1C, 4), 0);
    assert_int_equal(config_read(&rig, TOY, 0x30, 4), 0xFFFF0001);
    /* all ones is not an address, even when decoding is on */
    config_write(&rig, TOY, PCI_COMMAND, 2, 3);
    assert_int_equal(mapped_count(), 0);
    config_write(&rig, TOY, 0x10, 4, 0xE0001234);
    config_write(&rig, TOY, 0x14, 4, 0xC000);
    config_write(&rig, TOY, 0x18, 4, 0xE0100000);
    config_write(&rig, TOY, 0x30, 4, 0xE0200001);
    assert_int_equal(config_read(&rig, TOY, 0x10, 4), 0xE0000000);
    assert_int_equal(mapped_at(0xE0000000)->size, 0x2000);
    assert_false(mapped_at(0xE0000000)->backing);
    assert_int_equal(mapped_at(0xE0100000)->offset, 0x500000);
    assert_true(mapped_at(0xE0100000)->writable);
    assert_false(mapped_at(0xE0200000)->writable);
    assert_int_equal(in8(&rig.fake, 0xC01F), 0x5F);
    /* moving, byte by byte */
    config_write(&rig, TOY, 0x13, 1, 0xD0);
    assert_null(mapped_at(0xE0000000));
    assert_non_null(mapped_at(0xD0000000));
    config_write(&rig, TOY, 0x14, 4, 0xD000);
    assert_int_equal(in8(&rig.fake, 0xC01F), 0xFF);
    assert_int_equal(in8(&rig.fake, 0xD000), 0x40);
    /* on top of ports that are taken: not mapped, and nothing breaks */
    config_write(&rig, TOY, 0x14, 4, CF8 & ~0x1Fu);
    assert_int_equal(config_read(&rig, TOY, 0, 4), 0x12341AF4);
    /* the ROM's own enable bit, then everything off */
    config_write(&rig, TOY, 0x30, 4, 0xE0200000);
    assert_null(mapped_at(0xE0200000));
    config_write(&rig, TOY, PCI_COMMAND, 2, 0);
    assert_int_equal(mapped_count(), 0);
    config_write(&rig, TOY, PCI_COMMAND, 2, 3);
    assert_int_equal(mapped_count(), 2);
    pci_function_reset(&fn);
    assert_int_equal(mapped_count(), 0);
    assert_int_equal(config_read(&rig, TOY, 0x10, 4), 0);
    assert_int_equal(config_read(&rig, TOY, 0x14, 4), 1);
    rig_close(&rig);
}

static void test_interrupt_pins(void **state)
{
    struct rig rig;
    struct pci_function fn, other;
    struct fake_wire irqs_seen[1];

    (void)state;
    rig_open(&rig);
    toy_open(&rig, &fn);
    pci_init(&other, "other", NULL, 1, 1, 0, 0);
    pci_set8(&other, PCI_INTERRUPT_PIN, 3); /* slot 1's INTC# shares slot 3's INTA# */
    assert_int_equal(pci_add(rig.pci, &other, PCI_DEVFN(1, 2)), 0);
    fake_wire_init(irqs_seen);
    line_connect(pci_pirq(rig.pci, 2), fake_wire_changed, &irqs_seen[0], 0);
    pci_set_intx(&fn, true);
    pci_set_intx(&fn, true);
    pci_set_intx(&other, true);
    assert_int_equal(irqs_seen[0].rises, 1);
    assert_int_equal(config_read(&rig, TOY, PCI_STATUS, 1) & PCI_STATUS_INTX, PCI_STATUS_INTX);
    pci_set_intx(&fn, false);
    assert_true(pci_pirq(rig.pci, 2)->level);
    pci_set_intx(&other, false);
    assert_false(pci_pirq(rig.pci, 2)->level);
    /* the disable bit takes an asserted pin off the wire, and puts it back */
    pci_set_intx(&fn, true);
    config_write(&rig, TOY, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    assert_false(pci_pirq(rig.pci, 2)->level);
    config_write(&rig, TOY, PCI_COMMAND, 2, 0);
    assert_true(pci_pirq(rig.pci, 2)->level);
    config_write(&rig, TOY, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    pci_function_reset(&fn);
    assert_false(pci_pirq(rig.pci, 2)->level);
    pci_set_intx(&fn, true);
    assert_true(pci_pirq(rig.pci, 2)->level);
    rig_close(&rig);
}

/* ---- host bridge ---- */

static uint8_t pam_state[I440FX_PAM_COUNT];
static bool smram_state;

static void pam(void *ctx, uint32_t base, uint32_t size, bool read_ram, bool write_ram)
{
    (void)ctx;
    assert_int_equal(size, base == 0xF0000 ? 0x10000 : 0x4000);
    pam_state[(base - 0xC0000) / 0x4000] = (uint8_t)(read_ram | write_ram << 1);
}

static void smram(void *ctx, bool open)
{
    (void)ctx;
    smram_state = open;
}

static void test_host_bridge(void **state)
{
    const struct i440fx_memory memory = {.pam = pam, .smram = smram};
    struct rig rig;
    struct i440fx *dev;

    (void)state;
    rig_open(&rig);
    dev = i440fx_create(rig.pci, &memory);
    assert_non_null(dev);
    memset(pam_state, 0xFF, sizeof(pam_state));
    i440fx_reset(dev);
    for (unsigned i = 0; i < I440FX_PAM_COUNT; i++)
        assert_int_equal(pam_state[i], 0);
    assert_int_equal(config_read(&rig, 0, 0, 4), 0x12378086);
    config_write(&rig, 0, 0x59, 1, 0x30);
    assert_int_equal(pam_state[12], 3);
    config_write(&rig, 0, 0x5A, 1, 0x21);
    assert_int_equal(pam_state[0], 1);
    assert_int_equal(pam_state[1], 2);
    config_write(&rig, 0, 0x5C, 4, UINT32_MAX);
    for (unsigned i = 4; i < 12; i++)
        assert_int_equal(pam_state[i], 3);
    assert_int_equal(config_read(&rig, 0, 0x5C, 4), 0x33333333);
    config_write(&rig, 0, 0x72, 1, 0x42);
    assert_true(smram_state);
    config_write(&rig, 0, 0x72, 1, 0x12); /* locked: closed for good */
    assert_false(smram_state);
    config_write(&rig, 0, 0x72, 1, 0x42);
    assert_false(smram_state);
    i440fx_reset(dev);
    config_write(&rig, 0, 0x72, 1, 0x42);
    assert_true(smram_state);
    i440fx_shadow_all(dev);
    for (unsigned i = 0; i < I440FX_PAM_COUNT; i++)
        assert_int_equal(pam_state[i], 3);
    rig_close(&rig);
    i440fx_destroy(dev);
}

/* ---- ISA bridge ---- */

static void test_isa_bridge(void **state)
{
    struct rig rig;
    struct pci_function fn;
    struct line irqs[16] = {0};
    struct fake_wire reset;
    struct piix3 *dev;

    (void)state;
    rig_open(&rig);
    toy_open(&rig, &fn); /* slot 3, INTA#: PIRQC */
    fake_wire_init(&reset);
    dev = piix3_create(rig.pci, irqs, &reset.line);
    assert_non_null(dev);
    piix3_reset(dev);
    pci_set_intx(&fn, true);
    for (unsigned i = 0; i < 16; i++)
        assert_false(irqs[i].level);
    config_write(&rig, PCI_DEVFN(1, 0), 0x62, 1, 11);
    assert_true(irqs[11].level);
    config_write(&rig, PCI_DEVFN(1, 0), 0x62, 1, 10);
    assert_false(irqs[11].level);
    assert_true(irqs[10].level);
    config_write(&rig, PCI_DEVFN(1, 0), 0x62, 1, 8); /* reserved */
    assert_false(irqs[8].level);
    config_write(&rig, PCI_DEVFN(1, 0), 0x62, 1, 0x8A);
    assert_false(irqs[10].level);
    piix3_route(dev, 2, 5);
    assert_true(irqs[5].level);
    pci_set_intx(&fn, false);
    assert_false(irqs[5].level);
    /* 0xCF9 sits inside the configuration address register */
    out8(&rig.fake, 0xCF9, 0x02);
    assert_int_equal(reset.rises, 0);
    out8(&rig.fake, 0xCF9, 0x06);
    out8(&rig.fake, 0xCF9, 0x06);
    assert_int_equal(reset.rises, 1);
    assert_int_equal(in8(&rig.fake, 0xCF9), 0x06);
    rig_close(&rig);
    piix3_destroy(dev);
}

/* ---- power management ---- */

#define PM PCI_DEVFN(1, 3)

static uint16_t in16(struct rig *rig, uint16_t port)
{
    return (uint16_t)bus_io_read(rig->fake.bus, port, 2);
}

static void out16(struct rig *rig, uint16_t port, uint16_t value)
{
    bus_io_write(rig->fake.bus, port, 2, value);
}

static void test_power_management(void **state)
{
    struct rig rig;
    struct fake_wire sci, off;
    struct piix4_pm *dev;
    uint32_t before;

    (void)state;
    rig_open(&rig);
    fake_wire_init(&sci);
    fake_wire_init(&off);
    dev = piix4_pm_create(rig.fake.bus, rig.pci, rig.fake.clock, &sci.line, &off.line);
    assert_non_null(dev);
    piix4_pm_reset(dev);
    assert_int_equal(config_read(&rig, PM, 0, 4), 0x71138086);
    assert_int_equal(in16(&rig, 0x604), 0xFFFF); /* not mapped yet */
    config_write(&rig, PM, 0x40, 4, 0x601);
    config_write(&rig, PM, 0x80, 1, 1);
    assert_int_equal(in16(&rig, 0x604), 0);

    /* the timer: 24 bits, 3.579545 MHz; its high bit flips every 2.3435 s */
    before = bus_io_read(rig.fake.bus, 0x608, 4);
    fake_run(&rig.fake, 1000000000);
    assert_in_range(bus_io_read(rig.fake.bus, 0x608, 4) - before, 3579544, 3579546);
    assert_int_equal(in16(&rig, 0x600), 0);
    fake_run(&rig.fake, 1400000000);
    assert_int_equal(in16(&rig, 0x600), 1);
    out16(&rig, 0x600, 1);
    assert_int_equal(in16(&rig, 0x600), 0);
    fake_run(&rig.fake, 5000000000);
    assert_true(bus_io_read(rig.fake.bus, 0x608, 4) < 1u << 24);
    out16(&rig, 0x600, 0xFFFF);

    /* SCI: only when ACPI is on, the event enabled and its status set */
    out16(&rig, 0x602, 1);
    out8(&rig.fake, 0xB2, PIIX4_ACPI_ENABLE);
    assert_int_equal(in16(&rig, 0x604), 1);
    assert_int_equal(sci.rises, 0);
    fake_run(&rig.fake, 2400000000);
    assert_int_equal(sci.rises, 1);
    assert_true(sci.line.level);
    out16(&rig, 0x600, 1);
    assert_false(sci.line.level);
    piix4_pm_power_button(dev);
    assert_false(sci.line.level); /* not enabled */
    out16(&rig, 0x602, 0x100);
    assert_true(sci.line.level);
    out8(&rig.fake, 0xB2, PIIX4_ACPI_DISABLE);
    assert_false(sci.line.level);
    out8(&rig.fake, 0x601, 0x01); /* one byte of the status register */
    assert_int_equal(in16(&rig, 0x600) & 0x100, 0);

    /* GPE0 and sleep */
    out16(&rig, 0xAFE2, 0x1234);
    assert_int_equal(in16(&rig, 0xAFE2), 0x1234);
    out16(&rig, 0x604, 0x2000 | 1 << 10); /* S3: there is none */
    assert_int_equal(off.rises, 0);
    out16(&rig, 0x604, 0x2000);
    assert_int_equal(off.rises, 1);

    /* SMBus: nobody answers */
    config_write(&rig, PM, 0x90, 4, 0x701);
    config_write(&rig, PM, 0xD2, 1, 9);
    out8(&rig.fake, 0x702, 0x48);
    assert_int_equal(in8(&rig.fake, 0x700), 0x04);

    /* the block moves, and onto ports that are taken it does not go */
    config_write(&rig, PM, 0x40, 4, 0xB001);
    assert_int_equal(in16(&rig, 0x604), 0xFFFF);
    assert_int_not_equal(in16(&rig, 0xB004), 0xFFFF);
    config_write(&rig, PM, 0x40, 4, 0x701);
    assert_int_equal(in8(&rig.fake, 0x700), 0x04);
    piix4_pm_reset(dev);
    piix4_pm_map(dev);
    assert_int_equal(in16(&rig, 0x604), 0);
    pci_destroy(rig.pci);
    piix4_pm_destroy(dev);
    fake_close(&rig.fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mechanism),      cmocka_unit_test(test_bars),
        cmocka_unit_test(test_interrupt_pins), cmocka_unit_test(test_host_bridge),
        cmocka_unit_test(test_isa_bridge),     cmocka_unit_test(test_power_management),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
