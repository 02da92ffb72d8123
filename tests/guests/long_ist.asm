; tests/guests/long_ist.asm -- interrupt stack table: with and without a change of level, misaligned
; and unusable pointers; which second faults make a double fault in 64-bit mode.
; [SDM 3A 6.14.2, 6.14.4, 6.14.5 "Interrupt Stack Table", 6.15 "Interrupt 8"]
%include "long.inc"

IST1    equ KERNEL_STACK - 0x800
IST7    equ KERNEL_STACK - 0xc00
RSP0    equ KERNEL_STACK - 0x1000
HOLE    equ 0x200000

%macro SET_IST 2                ; number, value
        mov     dword [TSS64 + 28 + (%1) * 8], (%2) & 0xffffffff
        mov     dword [TSS64 + 32 + (%1) * 8], ((%2) >> 32) & 0xffffffff
%endmacro
%macro GATE_IST 2               ; vector, IST
        SET_GATE64 %1, CODE64, LINEAR(long_stubs + (%1) * 16), A_INT32 | DPL3, %2
%endmacro
%macro BREAK_GATE 1
        mov     dword [IDT64 + (%1) * 16 + 4], (A_INT32 & ~0x80) << 8
%endmacro
; #DF with error code 0 on its IST; RIP is not defined by the manual, processors save that of the
; first fault.
%macro DOUBLE 1+
        FAULTS  DF, 0, %1
%endmacro

main64:
        mov     r13d, 4
.loop:  SET_IST 1, IST1
        SET_IST 7, IST7
        ; no change of level: the stack changes all the same
        GATE_IST UD, 1
        GATE_IST 0x40, 7
        FAULTS  UD, 0, ud2
        EQ64    [lx_frame], IST1 - 40
        EQ64    [lx_rsp], rsp
        EQ64    [lx_ss], DATA64
        TRAPS   0x40, int 0x40
        EQ64    [lx_frame], IST7 - 40
        ; change of level: IST, not RSP0; SS is null
        USER
        FAULTS  UD, 0, ud2
        EQ64    [lx_frame], IST1 - 40
        EQ64    [lx_rsp], USER_STACK
        EQ64    [lx_now_ss], 0
        TRAPS   0x40, int 0x40
        EQ64    [lx_frame], IST7 - 40
        EQ64    [lx_now_ss], 0
        FAULTS  GP, 0, hlt
        EQ64    [lx_frame], RSP0 - 40
        SUPERVISOR
        ; from compatibility mode of both levels
        COMPAT
        FAULTS  UD, 0, ud2
        EQ      [lx_frame], IST1 - 40
        EQ      [lx_rsp], esp
        LONG
        USER_COMPAT
        FAULTS  UD, 0, ud2
        EQ      [lx_frame], IST1 - 40
        SUPERVISOR
        ; pointers that are not aligned
        SET_IST 1, IST1 + 15
        FAULTS  UD, 0, ud2
        EQ64    [lx_frame], IST1 - 40
        SET_IST 1, IST1 + 1
        FAULTS  UD, 0, ud2
        EQ64    [lx_frame], IST1 - 40
        SET_IST 1, IST1 - 1
        USER
        FAULTS  UD, 0, ud2
        EQ64    [lx_frame], IST1 - 16 - 40
        SUPERVISOR
        mov     dword [TSS64 + 4], RSP0 + 9                     ; RSP0 too
        USER
        FAULTS  GP, 0, hlt
        EQ64    [lx_frame], RSP0 - 40
        SUPERVISOR
        mov     dword [TSS64 + 4], RSP0
        ; the same stack twice: the second frame lies over the first
        SET_IST 1, IST1
        mov     qword [lx_hook], .nested
        mov     qword [vars64], 0
        mov     [vars64 + 8], rsp
        ud2
        FAIL
.nested_end:
        mov     qword [lx_hook], 0
        EQ64    [vars64], 2

        ; ---- pointers that cannot be used ----
        ; not canonical: #SS with error code 0 (EXT for an exception); the exception is lost
        SET_IST 1, 0x800000000100
        GATE_IST 0x40, 1
        FAULTS  SS_, 0, int 0x40
        EQ64    [lx_rsp], rsp
        GATE_IST UD, 1
        FAULTS  SS_, 1, ud2
        GATE_IST DF, 7
        GATE_IST DE, 1
        GATE_IST GP, 1
        xor     ecx, ecx
        DOUBLE  div ecx                                         ; #DE, then #SS
        EQ64    [lx_frame], IST7 - 40
        mov     ebx, 0x1f8
        DOUBLE  mov ds, bx                                      ; #GP, then #SS
        ; a page that is not there: #PF, with the address of the first push
        MAP64   HOLE, 0, 0
        SET_IST 1, HOLE + 0x1000
        PAGE_FAULTS PF_W, HOLE + 0xff8, int 0x40
        EQ64    [lx_rsp], rsp
        PAGE_FAULTS PF_W, HOLE + 0xff8, ud2
        PAGE_FAULTS PF_W, HOLE + 0xff8, div ecx                 ; #DE, then #PF: in turn
        ; the first part of the frame on a page that is there, the rest not: nothing is written
        MAP64   HOLE + 0x1000, (HOLE + 0x1000) | P_ALL, 0
        mov     qword [HOLE + 0x1000], 0x5555
        mov     qword [HOLE + 0x1008], 0x6666
        SET_IST 1, HOLE + 0x1010
        PAGE_FAULTS PF_W, HOLE + 0xff8, int 0x40
        ; read-only pages count for CPL 0 with CR0.WP
        MAP64   HOLE, HOLE | P_P, 0
        SET_IST 1, HOLE + 0x1000
        PAGE_FAULTS PF_P | PF_W, HOLE + 0xff8, int 0x40
        MAP64   HOLE, HOLE | P_ALL, 0
        RESET_GATE64 GP
        RESET_GATE64 DE
        ; the TSS ends before the pointer: #TS with its selector
        SET_IST 7, IST7
        SET_DESC TSS64_SEL, TSS64, 35 + 48 + 7, A_TSS32, 0      ; the last byte of IST7 is missing
        mov     eax, TSS64_SEL
        ltr     ax
        GATE_IST 0x40, 7
        FAULTS  TS, TSS64_SEL, int 0x40
        GATE_IST UD, 7
        FAULTS  TS, TSS64_SEL | 1, ud2
        SET_IST 1, IST1
        GATE_IST 0x40, 1
        TRAPS   0x40, int 0x40
        SET_DESC TSS64_SEL, TSS64, 0x67, A_TSS32, 0
        mov     eax, TSS64_SEL
        ltr     ax
        RESET_GATE64 0x40
        RESET_GATE64 UD

        ; ---- double faults ----
        xor     ecx, ecx
        mov     ebx, 0x1f8
        GATE_IST DF, 7
        BREAK_GATE DE
        DOUBLE  div ecx                                         ; contributory, contributory
        RESET_GATE64 DE
        BREAK_GATE GP
        DOUBLE  mov ds, bx
        USER
        DOUBLE  mov ds, bx
        EQ64    [lx_frame], IST7 - 40
        EQ64    [lx_cs], USER_CODE64
        EQ64    [lx_rsp], USER_STACK
        SUPERVISOR
        mov     r12, 0x800000000000
        DOUBLE  mov eax, [r12]
        BREAK_GATE SS_
        mov     rbp, r12
        DOUBLE  mov eax, [rbp]
        RESET_GATE64 SS_
        RESET_GATE64 GP
        BREAK_GATE UD
        FAULTS  NP, UD * 8 + 3, ud2                             ; #UD is benign
        BREAK_GATE NP
        DOUBLE  ud2
        RESET_GATE64 NP
        RESET_GATE64 UD
        ; INT n: the fault of a software interrupt is a first fault
        BREAK_GATE 0x48
        FAULTS  NP, 0x48 * 8 + 2, int 0x48
        BREAK_GATE NP
        DOUBLE  int 0x48
        RESET_GATE64 NP
        RESET_GATE64 0x48
        MAP64   HOLE, 0, 0
        BREAK_GATE PF
        DOUBLE  mov eax, [HOLE]                                 ; page fault, contributory
        RESET_GATE64 PF
        ; page fault while a page fault is delivered
        GATE_IST PF, 1
        SET_IST 1, HOLE + 0x800
        DOUBLE  mov eax, [HOLE + 8]
        EQ64    [lx_cr2], HOLE + 0x7f8                          ; of the second
        ; contributory, page fault: in turn, but this one cannot be delivered: double
        GATE_IST GP, 1
        DOUBLE  mov ds, bx
        SET_IST 1, IST1
        RESET_GATE64 PF
        RESET_GATE64 GP
        RESET_GATE64 DF
        MAP64   HOLE, HOLE | P_ALL, 0
        dec     r13d
        jnz     .loop
        ret
; Called by the recorder.  The first time it faults again: the second frame begins where the first
; did, and this one's RIP and RSP are lost.
.nested:
        inc     qword [vars64]
        cmp     qword [vars64], 2
        je      .second
        mov     [vars64 + 16], rsp
        EQ64    [lx_frame], IST1 - 40
.again: ud2
        FAIL
.second:
        EQ64    [lx_frame], IST1 - 40
        EQ64    [lx_rip], LINEAR(.again)
        mov     rax, [vars64 + 16]
        EQ64    [lx_rsp], rax
        mov     qword [rbp + L_RIP], .nested_end
        mov     rax, [vars64 + 8]
        mov     [rbp + L_RSP], rax
        and     qword [rbp + L_RFLAGS], ~F_RF
        ret
