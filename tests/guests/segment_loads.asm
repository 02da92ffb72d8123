; tests/guests/segment_loads.asm -- hot loads of DS, ES, FS, GS with the same selectors, while what
; these stand for changes: the descriptor, the table, the level. [SDM 3A 3.4.3 "Segment Registers"]
%include "common.inc"

MOVING  equ FREE                ; base DATA or DATA + 0x1000
AREA    equ FREE + 0x08         ; flat, or 4 KiB
LDT_SEL equ FREE + 0x10
OPEN    equ FREE + 0x18         ; as MOVING, DPL 3
LOCAL   equ 4                   ; first entry of the LDT

LDT_AT  equ DATA + 0x8000
GDT2    equ DATA + 0x9000
ROUNDS  equ 8

%define ACCESSED 1

; Loads by MOV and POP, each of which leaves flags and ESP as they should be.
%macro LOADS 2
        mov     ebp, esp
        push    dword %1
        popfd
        mov     %2, ax
        pushfd
        pop     edx
        and     edx, 0x8d5
        EQ      edx, %1
        push    dword 0
        pop     %2
        push    eax
        push    dword %1
        popfd
        pop     %2
        pushfd
        pop     edx
        and     edx, 0x8d5
        EQ      edx, %1
        EQ      esp, ebp
        push    ax
        o16 pop %2
        EQ      esp, ebp
        mov     edx, %2
        EQ      edx, eax
%endmacro

main:
        mov     dword [DATA], 0x11111111
        mov     dword [DATA + 0x1000], 0x22222222
        SET_DESC LDT_SEL, LDT_AT, 15, A_LDT, 0
        mov     dword [LDT_AT], 0x00000fff | ((DATA + 0x1000) & 0xffff) << 16
        mov     dword [LDT_AT + 4], (A_DATA | ACCESSED) << 8 | D_32 << 20 | (DATA >> 16)
        mov     esi, ROUNDS
.hot:
        ; ---- the same selector, the same descriptor ----
        SET_DESC MOVING, DATA, 0xfff, A_DATA, D_32
        SET_DESC OPEN, DATA, 0xfff, A_DATA | DPL3, D_32
        mov     eax, MOVING
        LOADS   0x8d5, fs
        LOADS   0, gs
        EQ      [fs:0], 0x11111111
        EQ      [gs:0], 0x11111111
        BITS_EQ [GDT + MOVING + 4], ACCESSED << 8, ACCESSED << 8
        FAULTS  GP, 0, mov ebx, [fs:0x1000]

        ; ---- another descriptor ----
        SET_DESC MOVING, DATA + 0x1000, 0x7ff, A_DATA, D_32
        EQ      [fs:0], 0x11111111              ; not before it is loaded
        LOADS   0x41, fs
        EQ      [fs:0], 0x22222222
        BITS_EQ [GDT + MOVING + 4], ACCESSED << 8, ACCESSED << 8
        FAULTS  GP, 0, mov ebx, [fs:0x800]
        LOADS   0x804, gs
        EQ      [gs:0], 0x22222222

        ; ---- a descriptor that may not be loaded: nothing changes ----
        SET_DESC MOVING, DATA, 0xfff, A_DATA & ~0x80, D_32
        mov     ebp, esp
        FAULTS  NP, MOVING, mov fs, ax
        push    eax
        FAULTS  NP, MOVING, pop gs
        EQ      [esp], MOVING
        pop     eax
        EQ      esp, ebp
        EQ      [fs:0], 0x22222222
        EQ      [gs:0], 0x22222222
        SET_DESC MOVING, DATA, 0xfff, A_CODE & ~2, D_32
        FAULTS  GP, MOVING, mov fs, ax
        SET_DESC MOVING, DATA, 0xfff, A_DATA, D_32
        mov     eax, MOVING | 3                 ; RPL above DPL
        FAULTS  GP, MOVING, mov fs, ax
        mov     fs, [.moving]                   ; from memory
        EQ      [fs:0], 0x11111111

        ; ---- null ----
        xor     eax, eax
        LOADS   0x44, fs
        FAULTS  GP, 0, mov ebx, [fs:0]
        mov     eax, 3
        LOADS   0x95, fs
        FAULTS  GP, 0, mov ebx, [fs:0]
        mov     eax, MOVING
        LOADS   0, fs
        EQ      [fs:0], 0x11111111

        ; ---- another table ----
        push    esi
        mov     esi, GDT
        mov     edi, GDT2
        mov     ecx, GDT_BYTES / 4
        rep movsd
        pop     esi
        mov     word [GDT2 + MOVING + 2], (DATA + 0x1000) & 0xffff
        sgdt    [.old]
        lgdt    [.new]
        LOADS   0, fs
        EQ      [fs:0], 0x22222222
        lgdt    [.short]                        ; its limit cuts the selector off
        FAULTS  GP, MOVING, mov fs, ax
        lgdt    [.old]
        LOADS   0, fs
        EQ      [fs:0], 0x11111111
        mov     eax, LDT_SEL
        lldt    ax
        mov     eax, LOCAL
        LOADS   0, fs
        EQ      [fs:0], 0x22222222
        xor     eax, eax
        lldt    ax
        mov     eax, LOCAL
        FAULTS  GP, LOCAL, mov fs, ax
        mov     fs, [.moving]

        ; ---- DS and ES, which the mode of the code depends on ----
        mov     eax, AREA
        SET_DESC AREA, 0, 0xfffff, A_DATA, D_32 | G_4K
        LOADS   0x8d5, es
        mov     dword [es:DATA + 4], 5
        mov     edx, [DATA + 4]
        EQ      edx, 5
        SET_DESC AREA, 0, 0xfff, A_DATA, D_32
        LOADS   0, es
        FAULTS  GP, 0, mov dword [es:DATA + 4], 6
        SET_DESC AREA, 0, 0xfffff, A_DATA & ~2, D_32 | G_4K
        LOADS   0x8d5, es
        FAULTS  GP, 0, mov dword [es:DATA + 4], 6
        SET_DESC AREA, 0, 0xfffff, A_DATA, D_32 | G_4K
        LOADS   0x8d5, es
        mov     dword [es:DATA + 4], 7
        EQ      [DATA + 4], 7
        LOADS   0, ds
        mov     eax, DATA32
        LOADS   0x8d5, ds
        LOADS   0, es

        ; ---- what was loaded at CPL 0 may be forbidden at CPL 3 ----
        mov     fs, [.moving]
        USER
        mov     eax, MOVING
        FAULTS  GP, MOVING, mov fs, ax
        mov     eax, OPEN | 3
        mov     fs, ax
        EQ      [fs:0], 0x11111111
        SUPERVISOR
        mov     ax, DATA32
        mov     ds, ax
        mov     es, ax
        dec     esi
        jnz     .hot
        ret

        align   4
.moving: dw     MOVING, 0
.new:   dw      GDT_BYTES - 1
        dd      GDT2
        dw      0
.short: dw      MOVING + 6
        dd      GDT2
        dw      0
.old:   dw      0
        dd      0
