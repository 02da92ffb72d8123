; tests/guests/gates.asm -- interrupt, trap and call gates of both sizes, to the same and to an
; inner level, conforming code, returns.
; [SDM 3A 5.8.3..5.8.6 call gates], [SDM 3A 6.12 interrupt and trap gates]
%include "common.inc"

STACK0  equ KERNEL_STACK - 0x1000      ; the TSS's
CONFORMING equ FREE                     ; code, DPL 0, conforming
GATE32  equ FREE + 0x08
GATE16  equ FREE + 0x10
GATE_C  equ FREE + 0x18                 ; to conforming code
GATE_BAD equ FREE + 0x20
CODE1   equ FREE + 0x28                 ; DPL 1
STACK16 equ FREE + 0x30                 ; data, base 0, 64 KiB, 16-bit
CODE3C  equ FREE + 0x38                 ; conforming, DPL 3
DATA1   equ FREE + 0x40
SHORT3  equ FREE + 0x48                 ; data, DPL 3, ends at 0x30000

seen    equ vars

main:
        SET_DESC CONFORMING, 0, 0xfffff, A_CODE | 4, G_4K | D_32
        SET_DESC CODE1, 0, 0xfffff, A_CODE | 0x20, G_4K | D_32
        SET_DESC DATA1, 0, 0xfffff, A_DATA | 0x20, G_4K | D_32
        SET_DESC STACK16, 0, 0xffff, A_DATA, 0
        SET_DESC CODE3C, 0, 0xfffff, A_CODE | 4 | DPL3, G_4K | D_32
        SET_DESC SHORT3, 0, 0x2ffff, A_DATA | DPL3, D_32
        SET_CALL_GATE GATE32, CODE32, call32, A_CALL32 | DPL3, 3
        SET_CALL_GATE GATE16, CODE32, call16, A_CALL16 | DPL3, 2
        SET_CALL_GATE GATE_C, CONFORMING, conform, A_CALL32 | DPL3, 5
        mov     dword [TSS + 4], STACK0
        mov     dword [TSS + 8], DATA32

        ; ---- interrupt and trap gates, same level: IF, TF, NT ----
        SET_GATE 0x40, CODE32, record_flags, A_INT32
        SET_GATE 0x41, CODE32, record_flags, A_TRAP32
        push    dword F_IF | F_NT | 2
        popfd
        mov     esi, esp
        int     0x40
        BITS_EQ [seen], F_IF | F_NT | F_TF | F_RF | F_VM, 0
        EQ      [seen + 4], esi
        BITS_EQ [seen + 12], F_IF | F_NT, F_IF | F_NT           ; pushed
        pushfd                                                  ; IRET has brought them back
        and     dword [esp], F_IF | F_NT
        EQ      [esp], F_IF | F_NT
        add     esp, 4
        int     0x41
        BITS_EQ [seen], F_IF | F_NT | F_TF | F_RF | F_VM, F_IF
        push    dword 2
        popfd
        ; a gate with DPL 0 may be used by INT at CPL 0 whatever RPL its selector has
        SET_GATE 0x40, CODE32 | 3, record_flags, A_INT32
        int     0x40
        EQ      [seen + 8], CODE32                              ; CS.RPL is CPL

        ; ---- 16-bit gates: words are pushed; the target is 16 bits wide ----
        SET_GATE 0x42, CODE32, record16, A_INT16
        SET_GATE 0x43, CODE32, record16, A_TRAP16
        mov     esi, esp
        sti
        int     0x42
.after42:
        cli
        EQ      [seen], 6                                       ; bytes pushed
        EQ      [seen + 4], .after42
        EQ      [seen + 8], CODE32
        BITS_EQ [seen + 12], F_IF | 2, F_IF | 2
        BITS_EQ [seen + 16], F_IF, 0
        sti
        int     0x43
        cli
        BITS_EQ [seen + 16], F_IF, F_IF

        ; ---- DPL of gates ----
        SET_GATE 0x44, CODE32, record_flags, A_INT32            ; DPL 0
        SET_GATE 0x45, CODE32, record_flags, A_TRAP32 | DPL3
        SET_GATE 0x46, CODE1, record_flags, A_INT32 | DPL3      ; DPL 1 code, no stack 1 yet
        SET_GATE 0x47, CONFORMING, record_flags, A_TRAP32 | DPL3
        SET_GATE 0x48, USER_CODE, record_flags, A_INT32 | DPL3  ; DPL 3 code from CPL 0
        FAULTS GP, USER_CODE & ~3, int 0x48
        SET_GATE 0x49, 0, record_flags, A_INT32 | DPL3          ; null
        FAULTS GP, 0, int 0x49
        SET_GATE 0x49, DATA32, record_flags, A_INT32 | DPL3     ; not code
        FAULTS GP, DATA32, int 0x49
        SET_GATE 0x49, 0x1f0, record_flags, A_INT32 | DPL3      ; empty descriptor
        FAULTS GP, 0x1f0, int 0x49
        SET_GATE 0x49, 0x3f0, record_flags, A_INT32 | DPL3      ; beyond the GDT
        FAULTS GP, 0x3f0, int 0x49
        mov     dword [IDT + 0x49 * 8], (CODE16 << 16) | 0xffff ; offset beyond the limit: 0x1ffff
        mov     dword [IDT + 0x49 * 8 + 4], 0x10000 | ((A_INT32 | DPL3) << 8)
        FAULTS GP, 0, int 0x49

        USER
        FAULTS GP, 0x44 * 8 + 2, int 0x44
        FAULTS GP, DB_ * 8 + 2, int 1
        FAULTS GP, DE * 8 + 2, int 0
        FAULTS GP, UD * 8 + 2, int 6
        FAULTS GP, NMI * 8 + 2, int 2
        TRAPS   BP_, int3                       ; gate has DPL 3
        EQ      [ex_cs], USER_CODE
        EQ      [ex_ss], USER_DATA
        EQ      [ex_esp], esp
        EQ      [ex_frame], STACK0 - 20
        int     0x45                            ; to CPL 0: record_flags sees SS:ESP of the user
        EQ      [seen + 4], STACK0
        EQ      [seen + 16], esp
        EQ      [seen + 20], USER_DATA
        EQ      [seen + 8], USER_CODE
        ; conforming handler: stays at CPL 3, on the same stack
        mov     esi, esp
        int     0x47
        EQ      [seen + 4], esi
        EQ      [seen + 28], CONFORMING | 3     ; CS inside
        ; code of DPL 1: needs SS1 from the TSS, which is null: #TS with the selector 0
        FAULTS TS, 0, int 0x46
        SUPERVISOR
        mov     dword [TSS + 12], 0x2ff00
        mov     dword [TSS + 16], DATA32        ; DPL 0 for level 1
        USER
        FAULTS TS, DATA32, int 0x46
        SUPERVISOR
        mov     dword [TSS + 16], DATA1 | 1
        USER
        int     0x46
        EQ      [seen + 4], 0x2ff00
        EQ      [seen + 28], CODE1 | 1
        SUPERVISOR
        mov     dword [TSS + 16], DATA1         ; RPL 0
        USER
        FAULTS TS, DATA1, int 0x46
        SUPERVISOR
        SET_DESC DATA1, 0, 0xfffff, (A_DATA | 0x20) & ~0x80, G_4K | D_32
        mov     dword [TSS + 16], DATA1 | 1     ; not present: #SS
        USER
        FAULTS SS_, DATA1, int 0x46
        SUPERVISOR
        SET_DESC DATA1, 0, 0x2ffff, A_DATA | 0x20, D_32
        mov     dword [TSS + 12], 8             ; no room for 20 bytes: #SS(new selector)
        USER
        FAULTS SS_, DATA1, int 0x46
        SUPERVISOR
        mov     dword [TSS + 12], 0
        mov     dword [TSS + 16], 0
        ; the TSS's limit too small for SS1: #TS(TSS)
        SET_DESC TSS_SEL, TSS, 0x0f, A_TSS32, 0
        mov     eax, TSS_SEL
        ltr     ax
        USER
        FAULTS TS, TSS_SEL, int 0x46
        SUPERVISOR
        SET_DESC TSS_SEL, TSS, 0x67, A_TSS32, 0
        mov     eax, TSS_SEL
        ltr     ax

        ; 16-bit interrupt gate from CPL 3: five words
        SET_GATE 0x42, CODE32, record16, A_INT16 | DPL3
        USER
        int     0x42
.after42u:
        EQ      [seen], 10
        EQ      [seen + 4], .after42u
        EQ      [seen + 8], USER_CODE
        SUPERVISOR

        ; ---- call gates ----
        ; same level: a gate used at CPL 0 copies nothing
        push    dword 0x33333333
        push    dword 0x22222222
        push    dword 0x11111111
        mov     esi, esp
        call    GATE32:0x12345678               ; the offset is not used
.call_return:
        EQ      [seen + 4], esi
        EQ      [seen + 8], .call_return
        EQ      [seen + 12], CODE32
        EQ      [seen + 16], 0x11111111         ; the caller's own, not a copy
        EQ      esp, KERNEL_STACK - 4           ; RETF 12 has dropped them (and main's return
                                                ; address is on the stack)
        ; JMP through a gate to the same level
        SET_CALL_GATE GATE_BAD, CODE32, .jumped, A_CALL32, 0
        mov     esi, esp
        jmp     GATE_BAD:0
        FAIL
.jumped:
        EQ      esp, esi

        USER
        push    dword 0x33333333
        push    dword 0x22222222
        push    dword 0x11111111
        mov     esi, esp
        mov     eax, 0xcafe
        call    GATE32:0
.call_return2:
        EQ      eax, 0xcafe
        EQ      [seen], STACK0 - 28             ; SS ESP 3 parameters CS EIP
        EQ      [seen + 8], .call_return2
        EQ      [seen + 12], USER_CODE
        EQ      [seen + 16], 0x11111111
        EQ      [seen + 20], 0x22222222
        EQ      [seen + 24], 0x33333333
        EQ      [seen + 28], esi
        EQ      [seen + 32], USER_DATA
        EQ      esp, USER_STACK                 ; RETF 12 has dropped them on both stacks
        ; 16-bit gate: words
        push    word 0x2222
        push    word 0x1111
        mov     esi, esp
        call    GATE16:0
.call_return3:
        EQ      [seen], STACK0 - 12
        EQ      [seen + 8], .call_return3
        EQ      [seen + 12], USER_CODE
        EQ      [seen + 16], 0x1111
        EQ      [seen + 20], 0x2222
        movzx   eax, si
        EQ      [seen + 24], eax
        EQ      [seen + 28], USER_DATA
        ; a 16-bit far return pops SP = 0xfffc, zero-extends it, and drops 4 bytes [SDM 2B RET]
        EQ      esp, ((USER_STACK - 4) & 0xffff) + 4
        mov     esp, USER_STACK
        ; conforming target: no change of level, nothing is copied
        mov     esi, esp
        call    GATE_C:0
        EQ      [seen + 4], esi
        EQ      [seen + 12], CONFORMING | 3
        ; directly to conforming code: RPL of the selector does not matter
        call    CONFORMING:direct
        EQ      [seen + 12], CONFORMING | 3
        ; JMP through a gate to inner, nonconforming code: #GP(code)
        FAULTS GP, CODE32, jmp GATE32:0
        ; RPL > gate's DPL, gate's DPL < CPL
        SUPERVISOR
        SET_CALL_GATE GATE_BAD, CODE32, call32, A_CALL32, 0
        USER
        FAULTS GP, GATE_BAD, call GATE_BAD:0
        FAULTS GP, GATE_BAD, call GATE_BAD | 3:0
        ; directly to inner code
        FAULTS GP, CODE32, call CODE32:0
        FAULTS GP, CODE32, jmp CODE32 | 3:0
        SUPERVISOR
        SET_CALL_GATE GATE_BAD, CODE32, call32, A_CALL32 & ~0x80, 0
        FAULTS NP, GATE_BAD, call GATE_BAD:0
        SET_CALL_GATE GATE_BAD, DATA32, call32, A_CALL32, 0
        FAULTS GP, DATA32, call GATE_BAD:0
        SET_CALL_GATE GATE_BAD, 0, call32, A_CALL32, 0
        FAULTS GP, 0, call GATE_BAD:0
        SET_CALL_GATE GATE_BAD, USER_CODE, call32, A_CALL32, 0
        FAULTS GP, USER_CODE & ~3, call GATE_BAD:0      ; DPL of the code > CPL
        FAULTS GP, GATE_BAD, jmp GATE_BAD | 3:0         ; RPL 3 > DPL 0
        SET_CALL_GATE GATE_BAD, 0x1f0, call32, A_CALL32, 0
        FAULTS GP, 0x1f0, call GATE_BAD:0
        ; a stack that ends while parameters are read: #SS(0), nothing changed
        SET_CALL_GATE GATE_BAD, CODE32, call32, A_CALL32 | DPL3, 3
        USER
        mov     eax, SHORT3 | 3
        mov     ss, ax
        mov     esp, 0x2fffc
        FAULTS  SS_, 0, call GATE_BAD:0
        EQ      [ex_esp], 0x2fffc
        EQ      [ex_ss], SHORT3 | 3
        SUPERVISOR

        ; ---- RETF to an outer level, by hand ----
        mov     [kernel_esp], esp
        push    dword USER_DATA
        push    dword USER_STACK - 0x100
        push    dword 0xaaaa
        push    dword USER_CODE
        push    dword .outer
        retf    4
.outer: EQ      esp, USER_STACK - 0x100 + 4
        mov     ax, cs
        EQ      eax, eax
        cmp     ax, USER_CODE
        je      .outer_ok
        FAIL
.outer_ok:
        ; DATA32 in DS, ES has DPL 0 < CPL 3: made null [SDM 3A 5.8.6]
        mov     ax, ds
        movzx   ebx, ax
        mov     ax, es
        movzx   ecx, ax
        mov     eax, USER_DATA
        mov     ds, eax
        mov     es, eax
        EQ      ebx, 0
        EQ      ecx, 0
        ; returns to an inner level fault
        push    dword CODE32
        push    dword .outer
        FAULTS GP, CODE32, retf
        mov     dword [esp + 4], 0
        FAULTS GP, 0, retf
        mov     dword [esp + 4], USER_DATA
        FAULTS GP, USER_DATA & ~3, retf
        mov     dword [esp + 4], CODE3C | 3
        mov     dword [esp], .conforming
        retf                                    ; conforming, DPL 3 <= RPL 3
.conforming:
        EQ      esp, USER_STACK - 0x100 + 4
        SUPERVISOR
        ; checks of the outer stack: SS's RPL, DPL, type; limit of CS
        push    dword USER_DATA & ~3
        push    dword USER_STACK
        push    dword USER_CODE
        push    dword .outer
        mov     esi, esp
        FAULTS GP, USER_DATA & ~3, retf
        mov     dword [esp + 12], DATA32 | 3
        FAULTS GP, DATA32, retf
        mov     dword [esp + 12], 0
        FAULTS GP, 0, retf
        mov     dword [esp + 12], USER_CODE
        FAULTS GP, USER_CODE & ~3, retf
        EQ      esp, esi
        add     esp, 16
        ret

; [seen]: EFLAGS inside; ESP before the INT (or the TSS's); CS EFLAGS that were pushed; ...
record_flags:
        pushfd
        pop     dword [ss:seen]
        push    eax
        mov     eax, [esp + 4 + 4]
        mov     [ss:seen + 8], eax
        mov     eax, [esp + 4 + 8]
        mov     [ss:seen + 12], eax
        mov     eax, [esp + 4 + 12]
        mov     [ss:seen + 16], eax
        mov     eax, [esp + 4 + 16]
        mov     [ss:seen + 20], eax
        xor     eax, eax
        mov     ax, cs
        mov     [ss:seen + 28], eax
        lea     eax, [esp + 4 + 12]
        push    ecx
        mov     ecx, [ss:seen + 8]
        and     ecx, 3
        push    edx
        mov     edx, [ss:seen + 28]
        and     edx, 3
        cmp     ecx, edx
        je      .same
        add     eax, 8
.same:  pop     edx
        pop     ecx
        mov     [ss:seen + 4], eax
        pop     eax
        iretd

; 16-bit frame: [seen] bytes pushed, IP, CS, FLAGS, EFLAGS inside
record16:
        pushfd
        pop     dword [ss:seen + 16]
        push    eax
        push    ebx
        movzx   eax, word [esp + 8]
        mov     [ss:seen + 4], eax
        movzx   eax, word [esp + 8 + 2]
        mov     [ss:seen + 8], eax
        mov     ebx, esi
        test    al, 3
        jz      .same
        mov     ebx, STACK0
.same:  movzx   eax, word [esp + 8 + 4]
        mov     [ss:seen + 12], eax
        lea     eax, [esp + 8]
        sub     ebx, eax
        mov     [ss:seen], ebx
        test    byte [ss:seen + 8], 3
        jz      .back
        ; IRET16 would take SP only; make it whole by returning with 32 bits
        movzx   eax, word [esp + 8 + 0]
        mov     [ss:seen + 32], eax
        pop     ebx
        pop     eax
        push    dword USER_DATA
        push    dword USER_STACK
        push    dword 2
        push    dword USER_CODE
        push    dword [ss:seen + 32]
        iretd
.back:  pop     ebx
        pop     eax
        iretw

; 32-bit call gate, 3 parameters
call32: mov     [ss:seen], esp
        push    eax
        lea     eax, [esp + 12]
        mov     [ss:seen + 4], eax
        mov     eax, [esp + 4]
        mov     [ss:seen + 8], eax
        mov     eax, [esp + 8]
        mov     [ss:seen + 12], eax
        mov     eax, [esp + 12]
        mov     [ss:seen + 16], eax
        mov     eax, [esp + 16]
        mov     [ss:seen + 20], eax
        mov     eax, [esp + 20]
        mov     [ss:seen + 24], eax
        mov     eax, [esp + 24]
        mov     [ss:seen + 28], eax
        mov     eax, [esp + 28]
        mov     [ss:seen + 32], eax
        pop     eax
        retf    12

; 16-bit call gate, 2 parameters
call16: mov     [ss:seen], esp
        movzx   eax, word [esp]
        mov     [ss:seen + 8], eax
        movzx   eax, word [esp + 2]
        mov     [ss:seen + 12], eax
        movzx   eax, word [esp + 4]
        mov     [ss:seen + 16], eax
        movzx   eax, word [esp + 6]
        mov     [ss:seen + 20], eax
        movzx   eax, word [esp + 8]
        mov     [ss:seen + 24], eax
        movzx   eax, word [esp + 10]
        mov     [ss:seen + 28], eax
        o16 retf 4

conform:
        lea     eax, [esp + 8]
        mov     [seen + 4], eax
direct: xor     eax, eax
        mov     ax, cs
        mov     [seen + 12], eax
        retf
