; tests/guests/iret.asm -- IRET of protected mode: to the same and to outer levels, which flags it
; may change, what happens to data segments, faults; POPF, PUSHF at every level.
; [SDM 2A "IRET"], [SDM 2B "POPF"], [SDM 3A 5.8.6]
%include "common.inc"

CODE1   equ FREE
DATA1   equ FREE + 8
CONF    equ FREE + 0x10         ; conforming code, DPL 0, readable
DATA2   equ FREE + 0x18
STACK16 equ FREE + 0x20         ; DPL 3, 16-bit
ALLF    equ 0x3f7fd5 & ~F_VM & ~F_TF & ~F_NT & ~F_VIF & ~F_VIP & ~F_RF

; Go to selector %1 with EFLAGS %2, stack SS %3, level by the selector; continues behind, there.
%macro OUTER 3
        mov     [kernel_esp], esp
        push    dword %3
        push    dword USER_STACK
        push    dword %2
        push    dword %1
        push    dword %%there
        iretd
%%there:
%endmacro

main:
        SET_DESC CODE1, 0, 0xfffff, A_CODE | 0x20, G_4K | D_32
        SET_DESC DATA1, 0, 0xfffff, A_DATA | 0x20, G_4K | D_32
        SET_DESC DATA2, 0, 0xfffff, A_DATA | 0x40, G_4K | D_32
        SET_DESC CONF, 0, 0xfffff, A_CODE | 4, G_4K | D_32
        SET_DESC STACK16, 0, 0xffff, A_DATA | DPL3, 0
        ; ---- same level ----
        mov     esi, esp
        push    dword ALLF & ~F_IF
        push    dword CODE32
        push    dword .same
        iretd
.same:  pushfd
        pop     eax
        EQ      esp, esi
        push    dword 2
        popfd
        EQ      eax, (ALLF & ~F_IF) | 2
        ; 16-bit operand size: IP is zero-extended, the upper half of EFLAGS stays
        push    dword F_ID | F_AC | 2
        popfd
        push    word F_CF | 2
        push    word CODE32
        push    word .same16
        iretw
.same16:
        pushfd
        pop     eax
        EQ      esp, esi
        BITS_EQ eax, F_ID | F_AC | F_CF, F_ID | F_AC | F_CF
        push    dword 2
        popfd
        ; faults: selector, limit; nothing popped
        push    dword 2
        push    dword DATA32
        push    dword .same
        mov     edi, esp
        FAULTS  GP, DATA32, iretd
        mov     dword [esp + 4], 0
        FAULTS  GP, 0, iretd
        mov     dword [esp + 4], 0x1f0
        FAULTS  GP, 0x1f0, iretd
        mov     dword [esp + 4], 0x3f0
        FAULTS  GP, 0x3f0, iretd
        mov     dword [esp + 4], CODE16
        mov     dword [esp], 0x10000            ; beyond its limit
        FAULTS  GP, 0, iretd
        EQ      esp, edi
        add     esp, 12
        ; to VM with CPL 0 is v86.asm's; NT is tasks.asm's

        ; ---- to level 1: IOPL decides about IF; data segments of level 0 go ----
        mov     eax, DATA32
        mov     ds, eax
        mov     es, eax
        mov     eax, DATA1
        mov     fs, ax
        mov     eax, CONF
        mov     gs, ax
        OUTER   CODE1 | 1, 2, DATA1 | 1
        mov     eax, USER_DATA
        mov     bx, ds
        mov     cx, es
        mov     ds, eax
        mov     es, eax
        movzx   ebx, bx
        movzx   ecx, cx
        EQ      ebx, 0
        EQ      ecx, 0
        mov     bx, fs
        movzx   ebx, bx
        EQ      ebx, DATA1                      ; DPL 1: stays
        mov     bx, gs
        movzx   ebx, bx
        EQ      ebx, CONF                       ; conforming code: stays
        ; deeper: to level 3
        push    dword USER_DATA
        push    dword USER_STACK - 0x100
        push    dword 2
        push    dword USER_CODE
        push    dword .level3
        iretd
.level3:
        EQ      esp, USER_STACK - 0x100
        mov     bx, fs
        movzx   ebx, bx
        EQ      ebx, 0
        mov     bx, gs
        movzx   ebx, bx
        EQ      ebx, CONF
        mov     bx, ds
        movzx   ebx, bx
        EQ      ebx, USER_DATA
        ; back in is not allowed
        push    dword USER_DATA
        push    dword USER_STACK
        push    dword 2
        push    dword CODE1 | 1
        push    dword .level3
        FAULTS  GP, CODE1, iretd
        mov     dword [esp + 4], CODE32
        FAULTS  GP, CODE32, iretd
        ; same level at 3 with IOPL 0: IF and IOPL silently stay
        mov     dword [esp + 4], USER_CODE
        mov     dword [esp], .again3
        mov     dword [esp + 8], ALLF
        iretd
.again3:
        pushfd
        pop     eax
        push    dword 2
        popfd
        BITS_EQ eax, ALLF, ALLF & ~(F_IF | F_IOPL)
        push    dword ALLF
        popfd
        pushfd
        pop     eax
        push    dword 2
        popfd
        BITS_EQ eax, ALLF, ALLF & ~(F_IF | F_IOPL)
        SUPERVISOR
        ; with IOPL 3: IF changes, IOPL does not
        USER    3
        push    dword F_IF | 2
        popfd
        pushfd
        pop     eax
        BITS_EQ eax, F_IF | F_IOPL, F_IF | F_IOPL
        push    word 2
        popfw
        pushfw
        pop     ax
        BITS_EQ eax, F_IF | F_IOPL, F_IOPL
        SUPERVISOR
        ; IRET to an outer level at CPL 0 sets IOPL and IF from the image
        OUTER   USER_CODE, 0x1002 | F_IF, USER_DATA
        mov     eax, USER_DATA
        mov     ds, eax
        pushfd
        pop     eax
        BITS_EQ eax, F_IF | F_IOPL, F_IF | 0x1000
        SUPERVISOR

        ; ---- faults on the way out: with everything as before ----
        push    dword USER_DATA
        push    dword USER_STACK
        push    dword 2
        push    dword USER_CODE
        push    dword .out
        mov     edi, esp
        mov     dword [esp + 16], 0
        FAULTS  GP, 0, iretd
        mov     dword [esp + 16], USER_DATA & ~3        ; RPL 0
        FAULTS  GP, USER_DATA & ~3, iretd
        mov     dword [esp + 16], DATA32 | 3            ; DPL 0
        FAULTS  GP, DATA32, iretd
        mov     dword [esp + 16], USER_CODE             ; not writable data
        FAULTS  GP, USER_CODE & ~3, iretd
        SET_DESC DATA2, 0, 0xfffff, (A_DATA | DPL3) & ~0x80, G_4K | D_32
        mov     dword [esp + 16], DATA2 | 3             ; not present
        FAULTS  SS_, DATA2, iretd
        SET_DESC CODE1, 0, 0xfffff, (A_CODE | DPL3) & ~0x80, G_4K | D_32
        mov     dword [esp + 4], CODE1 | 3
        FAULTS  NP, CODE1, iretd
        EQ      esp, edi
        ; a 16-bit outer stack takes SP only; the rest of ESP keeps the inner level's bits
        ; (a property of processors that operating systems work around)
        mov     dword [esp + 4], USER_CODE
        mov     dword [esp + 12], 0xabcd6000
        mov     dword [esp + 16], STACK16 | 3
        mov     [kernel_esp], esp
        add     dword [kernel_esp], 20
        iretd
.out:   mov     eax, USER_DATA
        mov     ds, eax
        mov     eax, esp
        and     eax, 0xffff
        EQ      eax, 0x6000
        SUPERVISOR

        ; ---- 16-bit IRET to an outer level ----
        mov     [kernel_esp], esp
        push    word USER_DATA
        push    word 0x8000
        push    word 2
        push    word USER_CODE
        push    word .out16
        iretw
.out16: mov     eax, USER_DATA
        mov     ds, eax
        EQ      esp, 0x8000
        mov     esp, USER_STACK
        SUPERVISOR
        ret
