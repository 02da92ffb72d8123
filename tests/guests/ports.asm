; tests/guests/ports.asm -- IN, OUT, INS, OUTS: IOPL and the I/O permission bitmap of the TSS.
; [SDM 1 19.5], [SDM 2A "IN", "INS"]
%include "common.inc"

BIG     equ 0x20000             ; a TSS with a bitmap
BIG_SEL equ FREE
MAP     equ 0x68

main:
        mov     edi, BIG
        mov     ecx, (MAP + 0x2004) / 4
        xor     eax, eax
        rep     stosd
        mov     edi, BIG + MAP
        mov     ecx, 0x2000 / 4
        mov     eax, -1
        rep     stosd
        mov     byte [BIG + MAP + 0x2000], 0xff
        mov     dword [BIG + 4], KERNEL_STACK - 0x1000
        mov     dword [BIG + 8], DATA32
        mov     word [BIG + 0x66], MAP
        SET_DESC BIG_SEL, BIG, MAP + 0x2000, A_TSS32, 0
        mov     eax, BIG_SEL
        ltr     ax
        mov     byte [BIG + MAP + 0x80 / 8], 0xfe       ; 0x80 only
        mov     byte [BIG + MAP + 0x90 / 8], 0xf0       ; 0x90..0x93
        mov     byte [BIG + MAP + 0x98 / 8], 0x7f       ; 0x9f, and
        mov     byte [BIG + MAP + 0xa0 / 8], 0xfe       ; 0xa0: across a byte
        mov     byte [BIG + MAP + 0x1fff], 0x7f         ; 0xffff

        ; at CPL 0 everything; what the bus gives by size

        in      al, 0x80
        mov     edx, 0x1234
        in      eax, dx
        out     0x80, al
        out     dx, ax
        mov     edi, DATA
        mov     dx, 0x81
        insb
        insd
        mov     esi, DATA
        outsb
        mov     ecx, 3
        mov     edi, DATA
        rep     insb
        EQ      edi, DATA + 3
        EQ      ecx, 0
        mov     ecx, 3
        mov     esi, DATA
        rep     outsd
        EQ      esi, DATA + 12

        USER
        ; allowed ports
        in      al, 0x80
        out     0x80, al
        in      eax, 0x90
        in      ax, 0x92
        out     0x91, al
        mov     edx, 0x9f
        in      al, dx
        in      ax, dx                  ; bits in two bytes of the map
        mov     edx, 0xffff
        in      al, dx
        mov     edi, DATA
        mov     edx, 0x90
        mov     ecx, 4
        rep     insb
        EQ      ecx, 0
        ; refused: every port of the access counts
        FAULTS  GP, 0, in al, 0x81
        FAULTS  GP, 0, in ax, 0x80
        FAULTS  GP, 0, in eax, 0x80
        FAULTS  GP, 0, in eax, 0x91
        FAULTS  GP, 0, in ax, 0x93
        FAULTS  GP, 0, out 0x7f, ax
        mov     edx, 0xa0
        FAULTS  GP, 0, in ax, dx
        mov     edx, 0xffff
        FAULTS  GP, 0, in ax, dx        ; beyond the last port: the byte of ones
        mov     edi, DATA
        mov     edx, 0x81
        FAULTS  GP, 0, insb
        EQ      edi, DATA
        mov     esi, DATA
        FAULTS  GP, 0, outsb
        mov     ecx, 2
        FAULTS  GP, 0, rep outsb
        EQ      ecx, 2
        ; REP with count 0 still asks? No element is transferred: nothing to check here
        SUPERVISOR
        ; IOPL 3: the map is not asked
        USER    3
        in      al, 0x81
        in      eax, 0x70
        out     0x71, ax
        SUPERVISOR

        ; the limit of the TSS ends the map: ports beyond it are refused
        SET_DESC BIG_SEL, BIG, MAP + 0x12, A_TSS32, 0
        mov     eax, BIG_SEL
        ltr     ax
        USER
        in      al, 0x80
        FAULTS  GP, 0, in al, 0x9f      ; needs byte 0x13 and the next one
        SUPERVISOR
        SET_DESC BIG_SEL, BIG, MAP + 0x11, A_TSS32, 0
        mov     eax, BIG_SEL
        ltr     ax
        USER
        in      al, 0x80                ; bytes 0x10 and 0x11 are read, by the manual's two
        FAULTS  GP, 0, in al, 0x90      ; 0x12 is beyond
        SUPERVISOR
        ; no map at all: base beyond the limit
        mov     word [BIG + 0x66], 0x100
        USER
        FAULTS  GP, 0, in al, 0x80
        SUPERVISOR
        mov     word [BIG + 0x66], MAP
        ; the map across a byte boundary in CPL 3 that changes: hot code sees the new map
        SET_DESC BIG_SEL, BIG, MAP + 0x2000, A_TSS32, 0
        mov     eax, BIG_SEL
        ltr     ax
        mov     ebp, 5
.change:
        mov     byte [BIG + MAP + 0x80 / 8], 0xfe
        mov     dword [ex_resume], 0
        mov     dword [vars + 4], .allowed
        jmp     .try
.allowed:
        mov     byte [BIG + MAP + 0x80 / 8], 0xff
        mov     dword [vars + 4], .refused
        mov     dword [ex_resume], .faulted
        mov     dword [ex_count], 0
        jmp     .try
.refused:
        EQ      [ex_count], 1
        EQ      [ex_vector], GP
        dec     ebp
        jnz     .change
        mov     byte [BIG + MAP + 0x80 / 8], 0xfe
        SET_DESC TSS_SEL, TSS, 0x67, A_TSS32, 0
        mov     eax, TSS_SEL
        ltr     ax
        ret
.try:   USER
        in      al, 0x80
.faulted:
        SUPERVISOR
        jmp     [vars + 4]
