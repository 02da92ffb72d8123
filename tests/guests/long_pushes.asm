; tests/guests/long_pushes.asm -- several PUSHes, POPs, CALL and RET in a row, of which a later one
; faults: RSP is what the ones before have left, and they are not done again.
; [SDM 2B "PUSH", "POP"], [SDM 3A 6.15 "Page-Fault Exception"]
%include "long.inc"

LIN     equ 0x8000000000                ; a page, between two that are not there
PDPT_A  equ FREE_TABLES
PD_A    equ FREE_TABLES + 0x1000
PT_A    equ FREE_TABLES + 0x2000
PAGE1   equ 0x220000

%macro EXPECT 1                         ; where to go on
        mov     dword [lx_resume], %1
        mov     dword [lx_count], 0
%endmacro

main64: SET_ENTRY PML4 + 8, PDPT_A | P_ALL, 0
        SET_ENTRY PDPT_A, PD_A | P_ALL, 0
        SET_ENTRY PD_A, PT_A | P_ALL, 0
        SET_ENTRY PT_A, PAGE1 | P_ALL, 0
        SET_ENTRY PT_A + 8, 0, 0
        mov     eax, 0x11
        mov     ebx, 0x22
        mov     edx, 0x33
        mov     ebp, 0x44
        mov     r13d, 20
        mov     r14, LIN
        USER
.loop:  mov     r12, rsp
        ; the third has no room
        EXPECT  .pushed
        mov     rsp, r14
        add     rsp, 16
        push    rax
        push    rbx
        mov     esi, edx
        push    rdx
        FAIL
.pushed:
        EQ      [lx_count], 1
        EQ      [lx_error], PF_U | PF_W
        EQ_MEM64 lx_cr2, LIN - 8
        EQ64    [lx_rsp], r14
        EQ64    [r14 + 8], rax
        EQ64    [r14], rbx
        EQ64    rsp, r14
        ; nor has the CALL
        EXPECT  .called
        mov     rsp, r14
        add     rsp, 8
        push    rbp
        call    .target
        FAIL
.called:
        EQ      [lx_count], 1
        EQ      [lx_error], PF_U | PF_W
        EQ_MEM64 lx_cr2, LIN - 8
        EQ64    [lx_rsp], r14
        EQ64    [r14], rbp
        ; the third is beyond the end
        EXPECT  .popped
        lea     rsp, [r14 + 0x1000 - 16]
        mov     qword [rsp], 0x55
        mov     qword [rsp + 8], 0x66
        xor     ecx, ecx
        pop     rdi
        pop     r10
        pop     rcx
        FAIL
.popped:
        EQ      [lx_count], 1
        EQ      [lx_error], PF_U
        EQ_MEM64 lx_cr2, LIN + 0x1000
        lea     r11, [r14 + 0x1000]
        EQ64    [lx_rsp], r11
        EQ      edi, 0x55
        EQ64    r10, 0x66
        EQ      ecx, 0
        ; and so is what the RET wants
        EXPECT  .returned
        lea     rsp, [r14 + 0x1000 - 8]
        pop     rdi
        ret
.returned:
        EQ      [lx_count], 1
        EQ      [lx_error], PF_U
        EQ_MEM64 lx_cr2, LIN + 0x1000
        lea     r11, [r14 + 0x1000]
        EQ64    [lx_rsp], r11
        EQ      edi, 0x66
        ; another access, while RSP has moved: not at the stack at all
        EXPECT  .other
        mov     rsp, r12
        push    rax
        push    rbx
        mov     eax, [r14 - 8]
        FAIL
.other: lea     r11, [r12 - 16]
        EQ64    [lx_rsp], r11
        EQ      [lx_count], 1
        EQ      eax, 0x11
        ; nothing faults
        mov     rsp, r12
        push    rax
        push    rbp
        push    rbx
        pop     r8
        pop     r9
        push    r9
        push    qword 0x1234567
        pop     r10
        pop     r11
        pop     rcx
        EQ64    rsp, r12
        EQ      ecx, 0x11
        EQ64    r8, rbx
        EQ64    r9, rbp
        EQ64    r10, 0x1234567
        EQ64    r11, rbp
        dec     r13d
        jnz     .loop
        SUPERVISOR
        ret
.target:
        FAIL
