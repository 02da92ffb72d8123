; tests/guests/long_window_checks.asm -- hot accesses that suddenly must be looked at: data
; breakpoints, alignment checks, SMAP with STAC and CLAC, CR0.WP, EFER.NXE.
; [SDM 3B 18.2 "Debug Registers"], [SDM 3A 4.6 "Access Rights", 6.15 "#AC"]
%include "long.inc"

LIN     equ 0x8000000000        ; PML4[1]: the user's page, the supervisor's page
PDPT_A  equ FREE_TABLES
PD_A    equ FREE_TABLES + 0x1000
PT_A    equ FREE_TABLES + 0x2000
PAGE1   equ 0x220000
PAGE2   equ 0x221000
SYSTEM  equ LIN + 0x1000
V_DR7   equ 0x4a                ; DR7 = RAX
V_AM    equ 0x4b                ; CR0.AM = RAX
STORES4 equ 0xd0001             ; DR0: stores, 4 bytes

main64:
        mov     dword [PAGE1], 0x1111
        mov     dword [PAGE2], 0x2222
        SET_GATE64 V_DR7, CODE64, LINEAR(do_dr7), A_INT32 | DPL3, 0
        SET_GATE64 V_AM, CODE64, LINEAR(do_am), A_INT32 | DPL3, 0
        SET_ENTRY PML4 + 8, PDPT_A | P_ALL, 0
        SET_ENTRY PDPT_A, PD_A | P_ALL, 0
        SET_ENTRY PD_A, PT_A | P_ALL, 0
        SET_ENTRY PT_A, PAGE1 | P_ALL, 0
        SET_ENTRY PT_A + 8, PAGE2 | P_P | P_W, 0
        FLUSH64
        mov     rax, SYSTEM + 16
        mov     dr0, rax
        mov     rbx, SYSTEM
        call    breakpoints
        mov     rax, LIN + 16
        mov     dr0, rax
        USER
        mov     rbx, LIN
        call    breakpoints
        call    alignment
        SUPERVISOR
        xor     eax, eax
        mov     dr0, rax
        call    carried
        call    sums
        call    smap
        call    write_protect
        call    nxe
        ret

do_dr7: mov     dr7, rax
        iretq
do_am:  push    rcx
        mov     rcx, cr0
        and     rcx, ~CR0_AM
        or      rcx, rax
        mov     cr0, rcx
        pop     rcx
        iretq

; RBX = the page
breakpoints:
        mov     r13d, 6
.loop:  mov     r14d, 12
.hot:   mov     [rbx + 16], r14d
        mov     eax, [rbx + 16]
        add     [rbx + 16], eax
        dec     r14d
        jnz     .hot
        mov     eax, STORES4
        int     V_DR7
        mov     eax, [rbx + 16]
        mov     [rbx + 20], eax
        TRAPS   DB_, mov [rbx + 16], r13d
        TRAPS   DB_, add dword [rbx + 14], 0x10000
        TRAPS   DB_, inc byte [rbx + 19]
        mov     r14d, 8
.watched:
        TRAPS   DB_, mov [rbx + 16], r14d
        dec     r14d
        jnz     .watched
        mov     eax, 0x400
        int     V_DR7
        mov     dword [lx_count], 0
        mov     r14d, 12
.off:   mov     [rbx + 16], r14d
        EQ      [rbx + 16], r14d
        dec     r14d
        jnz     .off
        EQ      [lx_count], 0
        dec     r13d
        jnz     .loop
        ret

; Nothing is at DEVICE, so a store there is interpreted each time, and is the last access of a loop.
; Once the code behind it was resumed, went back to the loop's start, and took for known there in which
; region RSI is: what the host's registers had kept of that was gone.
DEVICE  equ 0xc0000000
carried:
        SET_ENTRY PT_A + 16, DEVICE | P_P | P_W, 0
        FLUSH64
        mov     rsi, SYSTEM
        mov     rdi, LIN + 0x2000
        mov     dword [rsi], 0x2222
        xor     ebx, ebx
        mov     edx, 1000
.loop:  mov     eax, [rsi]
        add     ebx, eax
        mov     [rdi], al
        dec     edx
        jnz     .loop
        EQ      ebx, 0x2222 * 1000
        ret

; What was loaded is stored to next, but once in 64 times one of the address's two registers has changed
; in between, and it is elsewhere.
%macro STORE_TO_LOADED 2        ; which, to what
        mov     edx, 1000
%%loop: mov     rsi, r10
        mov     rdi, r9
        mov     eax, [rsi + rdi]
        test    dl, 63
        cmovz   %1, %2
        mov     [rsi + rdi + 4], eax
        mov     [rsi + rdi], edx
        dec     edx
        jnz     %%loop
        EQ      [PAGE2 + 64], 1
        EQ      [PAGE2 + 68], 2
        EQ      [vars64], 64
        EQ      [vars64 + 4], 65
%endmacro
sums:   mov     r10, SYSTEM
        mov     r9, 64
        mov     r8, vars64 - SYSTEM
        mov     r11, vars64 - 64
        STORE_TO_LOADED rdi, r8
        STORE_TO_LOADED rsi, r11
        ret

; CPL 3: hot and misaligned; then it is an exception
alignment:
        mov     r13d, 6
.loop:  mov     r14d, 12
.hot:   mov     [rbx + 17], r14d
        mov     eax, [rbx + 17]
        cmp     eax, r14d
        jne     .bad
        dec     r14d
        jnz     .hot
        mov     eax, CR0_AM
        int     V_AM
        pushfq
        or      dword [rsp], F_AC
        popfq
        FAULTS  AC, 0, mov [rbx + 17], eax
        FAULTS  AC, 0, mov eax, [rbx + 17]
        FAULTS  AC, 0, push qword [rbx + 17]
        mov     eax, [rbx + 16]
        pushfq
        and     dword [rsp], ~F_AC
        popfq
        mov     eax, [rbx + 17]
        cmp     eax, 1
        jne     .bad
        xor     eax, eax
        int     V_AM
        dec     r13d
        jnz     .loop
        ret
.bad:   FAIL

; CPL 0 and the user's page
smap:   SET_ENTRY PT_A, PAGE1 | P_ALL, 0
        mov     rbx, LIN
        mov     rsi, SYSTEM
        mov     ecx, 6                  ; descriptors, variables, the stack: the supervisor's
.own:   and     dword [PTE64(0) + rcx * 8], ~P_U
        loop    .own
        FLUSH64
        mov     r13d, 6
.loop:  mov     r14d, 12
.hot:   mov     eax, [rbx]
        cmp     eax, 0x1111
        jne     .bad
        mov     eax, [rsi]
        cmp     eax, 0x2222
        jne     .bad
        dec     r14d
        jnz     .hot
        CR_SET  cr4, CR4_SMAP
        mov     r14d, 12
.guard: stac
        mov     eax, [rbx]
        mov     edx, [rsi]
        mov     [rbx + 32], r14d
        mov     [rsi + 32], r14d
        add     eax, [rbx + 4]
        clac
        mov     ecx, [rsi + 32]         ; the supervisor's own
        stac
        cmp     ecx, r14d
        jne     .bad
        cmp     eax, 0x1111
        jne     .bad
        cmp     edx, 0x2222
        jne     .bad
        dec     r14d
        jnz     .guard
        CR_CLEAR cr4, CR4_SMAP
        clac
        dec     r13d
        jnz     .loop
        ; one access without STAC
        SET_GATE64 PF, CODE64, LINEAR(.fault), A_INT32, 0
        mov     r13d, 12
        mov     rbx, LIN
.deny:  mov     dword [vars64], 0
        CR_SET  cr4, CR4_SMAP
        stac
        mov     eax, [rbx]
        clac
        mov     eax, [rbx]
        FAIL
.behind:
        CR_CLEAR cr4, CR4_SMAP
        clac
        EQ      [vars64], 1
        EQ      [vars64 + 8], PF_P
        EQ      [rbx], 0x1111
        dec     r13d
        jnz     .deny
        RESET_GATE64 PF
        mov     ecx, 6
.back:  or      dword [PTE64(0) + rcx * 8], P_U
        loop    .back
        FLUSH64
        ret
.fault: inc     dword [vars64]
        mov     rax, [rsp]
        mov     [vars64 + 8], rax
        mov     qword [rsp + 8], LINEAR(.behind)
        add     rsp, 8
        iretq
.bad:   CR_CLEAR cr4, CR4_SMAP
        FAIL

; CPL 0 writes to a page that is read-only, as CR0.WP says
write_protect:
        mov     rbx, SYSTEM
        mov     [rbx], eax
        and     dword [PT_A + 8], ~P_W
        invlpg  [rbx]
        mov     r13d, 12
.loop:  CR_CLEAR cr0, CR0_WP
        mov     [rbx], r13d
        EQ      [PAGE2], r13d
        CR_SET  cr0, CR0_WP
        PAGE_FAULTS PF_P | PF_W, SYSTEM, mov [rbx], eax
        EQ      [rbx], r13d
        dec     r13d
        jnz     .loop
        or      dword [PT_A + 8], P_W
        invlpg  [rbx]
        ret

; Bit 63 is NX, or reserved
nxe:    mov     rbx, SYSTEM
        mov     dword [PT_A + 12], NX
        invlpg  [rbx]
        mov     dword [rbx], 0x2222
        mov     r13d, 10
.loop:  EQ      [rbx], 0x2222
        WRITE_MSR EFER, EFER_SCE | EFER_LME
        FLUSH64
        PAGE_FAULTS PF_P | PF_RSVD, SYSTEM, mov eax, [rbx]
        WRITE_MSR EFER, EFER_SCE | EFER_LME | EFER_NXE
        FLUSH64
        EQ      [rbx], 0x2222
        dec     r13d
        jnz     .loop
        mov     dword [PT_A + 12], 0
        invlpg  [rbx]
        ret
