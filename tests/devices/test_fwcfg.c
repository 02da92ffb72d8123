/* tests/devices/test_fwcfg.c -- fw_cfg by ports and by DMA; the ACPI tables as a block. */
#include "fake.h"

#include <stdio.h>

#include "devices/acpi.h"
#include "devices/aml.h"
#include "devices/fw_cfg.h"

#define DESCRIPTOR 0x1000u
#define BUFFER     0x2000u

static void select_item(struct fake *fake, uint16_t key)
{
    bus_io_write(fake->bus, 0x510, 2, key);
}

static void take(struct fake *fake, void *buffer, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buffer)[i] = in8(fake, 0x511);
}

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_be32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Returns the control field after the transfer. */
static uint32_t dma(struct fake *fake, uint32_t control, uint32_t length, uint32_t address)
{
    uint8_t *descriptor = fake->memory + DESCRIPTOR;

    put_be32(descriptor, control);
    put_be32(descriptor + 4, length);
    put_be32(descriptor + 8, 0);
    put_be32(descriptor + 12, address);
    bus_io_write(fake->bus, 0x514, 4, 0);
    bus_io_write(fake->bus, 0x518, 4, __builtin_bswap32(DESCRIPTOR));
    return be32(descriptor);
}

/* Key and size of a file, by the directory. */
static uint16_t find_file(struct fake *fake, const char *name, uint32_t *size)
{
    uint8_t bytes[64];
    uint32_t count;

    select_item(fake, FW_CFG_FILE_DIR);
    take(fake, bytes, 4);
    count = be32(bytes);
    while (count-- > 0) {
        take(fake, bytes, 64);
        if (strcmp((const char *)bytes + 8, name) == 0) {
            *size = be32(bytes);
            return (uint16_t)(be32(bytes + 4) >> 16);
        }
    }
    return 0;
}

static void test_ports(void **state)
{
    struct fake fake;
    struct fw_cfg *dev;
    uint8_t bytes[8];
    uint32_t size = 0;
    uint16_t key;

    (void)state;
    fake_open(&fake);
    dev = fw_cfg_create(fake.bus);
    assert_non_null(dev);
    select_item(&fake, FW_CFG_SIGNATURE);
    take(&fake, bytes, 6);
    assert_memory_equal(bytes, "QEMU\0\0", 6);
    select_item(&fake, FW_CFG_ID);
    assert_int_equal(in8(&fake, 0x511), 3);
    assert_int_equal(fw_cfg_add64(dev, FW_CFG_RAM_SIZE, 0x123456789A), 0);
    select_item(&fake, FW_CFG_RAM_SIZE);
    take(&fake, bytes, 8);
    assert_memory_equal(bytes, "\x9A\x78\x56\x34\x12\0\0\0", 8);
    assert_int_equal(fw_cfg_add_file(dev, "etc/first", "abc", 3), 0);
    assert_int_equal(fw_cfg_add_file(dev, "etc/second", "defg", 4), 0);
    assert_int_equal(fw_cfg_add_file(dev, "etc/first", "xy", 2), 0); /* replaced */
    key = find_file(&fake, "etc/first", &size);
    assert_int_equal(size, 2);
    select_item(&fake, key);
    take(&fake, bytes, 3);
    assert_memory_equal(bytes, "xy\0", 3);
    assert_int_equal(find_file(&fake, "etc/third", &size), 0);
    /* keys that mean nothing, and accesses of the wrong width */
    select_item(&fake, 0xFFFF);
    assert_int_equal(in8(&fake, 0x511), 0);
    out8(&fake, 0x511, 1);
    out8(&fake, 0x510, 1);
    assert_int_not_equal(fw_cfg_add(dev, 0x3FFF, "", 0), 0);
    assert_int_not_equal(fw_cfg_add_file(dev,
                                         "a/name/that/is/longer/than/the/fifty-six/bytes/that/"
                                         "there/are",
                                         "", 0),
                         0);
    for (unsigned i = 0; i < 40; i++) {
        char name[16];

        snprintf(name, sizeof(name), "f%u", i);
        assert_true((fw_cfg_add_file(dev, name, "", 0) == 0) == (i < 30));
    }
    fw_cfg_destroy(dev);
    fake_close(&fake);
}

static void test_dma(void **state)
{
    struct fake fake;
    struct fw_cfg *dev;

    (void)state;
    fake_open(&fake);
    dev = fw_cfg_create(fake.bus);
    assert_int_equal(bus_io_read(fake.bus, 0x514, 4), 0x554D4551); /* "QEMU" in memory order */
    assert_int_equal(bus_io_read(fake.bus, 0x518, 4), 0x47464320);
    fw_cfg_add(dev, FW_CFG_UUID, "0123456789", 10);
    memset(fake.memory + BUFFER, 0xEE, 32);
    assert_int_equal(dma(&fake, FW_CFG_UUID << 16 | 8 | 2, 4, BUFFER), 0);
    assert_memory_equal(fake.memory + BUFFER, "0123\xEE", 5);
    assert_int_equal(dma(&fake, 4, 2, 0), 0); /* skip */
    assert_int_equal(dma(&fake, 2, 10, BUFFER), 0);
    assert_memory_equal(fake.memory + BUFFER, "6789\0\0\0\0\0\0\xEE", 11);
    assert_int_equal(dma(&fake, 4, UINT32_MAX, 0), 0);
    assert_int_equal(dma(&fake, 2, 1, BUFFER), 0);
    assert_int_equal(fake.memory[BUFFER], 0);
    /* writes are refused; an item that shrinks under the reader is no trouble */
    assert_int_equal(dma(&fake, FW_CFG_UUID << 16 | 8 | 0x10, 4, BUFFER), 1);
    dma(&fake, FW_CFG_UUID << 16 | 8 | 2, 8, BUFFER);
    fw_cfg_add(dev, FW_CFG_UUID, "ab", 2);
    assert_int_equal(dma(&fake, 2, 4, BUFFER), 0);
    assert_memory_equal(fake.memory + BUFFER, "\0\0\0\0", 4);
    assert_int_equal(in8(&fake, 0x511), 0);
    fw_cfg_destroy(dev);
    fake_close(&fake);
}

/* ---- ACPI ---- */

static uint8_t sum(const uint8_t *data, size_t size)
{
    uint8_t total = 0;

    for (size_t i = 0; i < size; i++)
        total += data[i];
    return total;
}

static uint32_t le32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void check_tables(bool apic)
{
    const struct acpi_config config = {.cpu_count = 1,
                                       .apic = apic,
                                       .serial = {true, false, true, false},
                                       .pci_hole = 0x8000000,
                                       .pci_hole_end = 0xFEC00000};
    const uint32_t base = 0x7FF0000;
    struct acpi_tables tables;
    const uint8_t *rsdt, *fadt;
    unsigned count;

    assert_int_equal(acpi_build(&config, &tables), 0);
    acpi_relocate(&tables, base);
    assert_memory_equal(tables.rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(tables.rsdp, ACPI_RSDP_SIZE), 0);
    rsdt = tables.data + (le32(tables.rsdp + ACPI_RSDP_POINTER) - base);
    assert_memory_equal(rsdt, "RSDT", 4);
    count = (le32(rsdt + 4) - 36) / 4;
    assert_int_equal(count, apic ? 2 : 1);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *table = tables.data + (le32(rsdt + 36 + 4 * i) - base);

        assert_memory_equal(table, i == 0 ? "FACP" : "APIC", 4);
        assert_int_equal(sum(table, le32(table + 4)), 0);
    }
    assert_int_equal(sum(rsdt, le32(rsdt + 4)), 0);
    fadt = tables.data + (le32(rsdt + 36) - base);
    assert_int_equal(le32(fadt + 36) % 64, 0);
    assert_memory_equal(tables.data + (le32(fadt + 36) - base), "FACS", 4);
    assert_memory_equal(tables.data + (le32(fadt + 40) - base), "DSDT", 4);
    acpi_free(&tables);
}

static void test_tables(void **state)
{
    (void)state;
    check_tables(true);
    check_tables(false);
}

/* Package lengths of one, two and three bytes, and the forms of names. [ACPI 20.2.2, 20.2.4] */
static void test_aml(void **state)
{
    static const uint8_t names[] = {'\\', '_', 'S', 'B', '_', '^',  0x2E, 'A', '_', '_',
                                    '_',  'B', 'C', '_', '_', 0x2F, 3,    'D', '_', '_',
                                    '_',  'E', '_', '_', '_', 'F',  '_',  '_', '_'};
    static const uint8_t eisa[] = {0x0C, 0x41, 0xD0, 0x0A, 0x03};
    struct aml aml;

    (void)state;
    aml_init(&aml);
    aml_name_string(&aml, "\\_SB");
    aml_name_string(&aml, "^A.BC");
    aml_name_string(&aml, "D.E.F");
    assert_int_equal(aml.size, sizeof(names));
    assert_memory_equal(aml.data, names, sizeof(names));
    assert_true(aml_finish(&aml));
    free(aml.data);

    aml_init(&aml);
    aml_eisa_id(&aml, "PNP0A03");
    assert_memory_equal(aml.data, eisa, sizeof(eisa));
    assert_true(aml_finish(&aml));
    free(aml.data);

    for (unsigned contents = 60; contents <= 5000; contents += contents == 64 ? 4020 : 1) {
        aml_init(&aml);
        aml_if_begin(&aml);
        for (unsigned i = 0; i < contents; i++)
            aml_byte(&aml, 0xA3);
        aml_end(&aml);
        /* the length counts its own bytes */
        if (contents + 1 <= 0x3F)
            assert_int_equal(aml.data[1], contents + 1);
        else if (contents + 2 < 0x1000)
            assert_int_equal((aml.data[1] & 15) | aml.data[2] << 4, contents + 2);
        else
            assert_int_equal((aml.data[1] & 15) | aml.data[2] << 4 | aml.data[3] << 12,
                             contents + 3);
        assert_true(aml_finish(&aml));
        free(aml.data);
    }

    aml_init(&aml); /* unbalanced: refused */
    aml_if_begin(&aml);
    assert_false(aml_finish(&aml));
    aml_end(&aml);
    assert_false(aml_finish(&aml));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_dma),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_aml),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
