; tests/guests/long_paging.asm -- four-level paging: rights at every level, accessed and dirty bits,
; 2 MiB and 1 GiB pages, NX, reserved bits, CR0.WP, restarts.
; [SDM 3A 4.5 "4-Level Paging", 4.6, 4.7, 4.8 "Accessed and Dirty Flags"]
%include "long.inc"

; Test pages at BASE: their own PDPT, PD and PT
BASE    equ 0x8000000000        ; PML4[1]
PDPT2   equ FREE_TABLES
PD2     equ FREE_TABLES + 0x1000
PT2     equ FREE_TABLES + 0x2000
PAGE_A  equ 0x220000            ; what they map
PAGE_B  equ 0x221000
LIN_A   equ BASE
LIN_B   equ BASE + 0x1000
LIN_2M  equ BASE + 0x200000
LIN_1G  equ BASE + 0x40000000
AD      equ P_A | P_D

; An entry: address, low, high; nothing is cached afterwards; clobbers RAX
%macro ENTRY 3
        SET_ENTRY %1, %2, %3
        FLUSH64
%endmacro
%macro JUMP_FAULTS 2            ; error, address
        mov     dword [lx_resume], %%next
        mov     dword [lx_count], 0
        mov     rax, %2
        jmp     rax
%%next: EQ      [lx_count], 1
        EQ      [lx_vector], PF
        EQ      [lx_error], %1
        EQ64    [lx_rip], %2
        EQ64    [lx_cr2], %2
%endmacro

main64:
        SET_ENTRY PML4 + 8, PDPT2 | P_ALL, 0
        SET_ENTRY PDPT2, PD2 | P_ALL, 0
        SET_ENTRY PD2, PT2 | P_ALL, 0
        SET_ENTRY PT2, PAGE_A | P_ALL, 0
        SET_ENTRY PT2 + 8, PAGE_B | P_ALL, 0
        mov     rbx, LIN_A
        mov     r13d, 4
.loop:  call    accessed
        call    rights
        call    no_execute
        call    reserved
        call    large
        call    restarts
        dec     r13d
        jnz     .loop
        ret

; ---- A at every level by any access that is allowed, D in the last by stores ----
%macro CLEAR_AD 0
        and     dword [PML4 + 8], ~AD
        and     dword [PDPT2], ~AD
        and     dword [PD2], ~AD
        and     dword [PT2], ~AD
        FLUSH64
%endmacro
%macro AD_ARE 4
        BITS_EQ [PML4 + 8], AD, %1
        BITS_EQ [PDPT2], AD, %2
        BITS_EQ [PD2], AD, %3
        BITS_EQ [PT2], AD, %4
%endmacro
accessed:
        mov     byte [PAGE_A], 0xc3
        CLEAR_AD
        AD_ARE  0, 0, 0, 0
        mov     eax, [rbx]
        AD_ARE  P_A, P_A, P_A, P_A
        mov     [rbx + 8], eax
        AD_ARE  P_A, P_A, P_A, AD
        CLEAR_AD
        call    rbx
        AD_ARE  P_A, P_A, P_A, P_A
        CLEAR_AD
        USER
        mov     [rbx + 8], eax
        SUPERVISOR
        AD_ARE  P_A, P_A, P_A, AD
        CLEAR_AD
        mov     eax, 0x12345
        lock cmpxchg [rbx + 16], ecx            ; fails, and writes all the same
        AD_ARE  P_A, P_A, P_A, AD
        CLEAR_AD
        cmp     [rbx], eax
        test    [rbx], eax
        bt      dword [rbx], 7
        AD_ARE  P_A, P_A, P_A, P_A
        xor     ecx, ecx
        mov     rdi, rbx
        CLEAR_AD
        rep     stosb                           ; no access
        AD_ARE  0, 0, 0, 0
        lea     rax, [rbx]
        invlpg  [rbx]
        nop     dword [rbx]
        AD_ARE  0, 0, 0, 0
        ; D stays off where the store faults (A may be set in the tables that were walked)
        and     dword [PT2], ~P_W
        FLUSH64
        PAGE_FAULTS PF_P | PF_W, LIN_A, mov [rbx], eax
        BITS_EQ [PT2], P_D, 0
        mov     eax, [rbx]
        PAGE_FAULTS PF_P | PF_W, LIN_A, mov [rbx], eax
        BITS_EQ [PT2], AD, P_A
        or      dword [PT2], P_W
        FLUSH64
        ; a store over two pages of which the second faults: nothing is written
        CLEAR_AD
        ENTRY   PT2 + 8, 0, 0
        mov     dword [PAGE_A + 0xffc], 0x11111111
        mov     rax, -1
        PAGE_FAULTS PF_W, LIN_B, mov [rbx + 0xffc], rax
        EQ      [PAGE_A + 0xffc], 0x11111111
        ENTRY   PT2 + 8, PAGE_B | P_ALL, 0
        mov     rax, -1
        mov     [rbx + 0xffc], rax
        BITS_EQ [PT2], AD, AD
        BITS_EQ [PT2 + 8], AD, AD
        EQ      [PAGE_B], -1
        ; the entry that is cached clean: the first store sets D
        CLEAR_AD
        mov     ecx, 50
.clean: mov     eax, [rbx]
        loop    .clean
        BITS_EQ [PT2], AD, P_A
        mov     [rbx + 4], eax
        BITS_EQ [PT2], AD, AD
        ret

; ---- R/W and U/S: the least of all levels ----
rights:
        mov     r12d, 4
        mov     esi, .entries
.level: mov     rdi, [rsi]
        and     dword [rdi], ~P_W
        FLUSH64
        mov     eax, [rbx]
        PAGE_FAULTS PF_P | PF_W, LIN_A, mov [rbx], eax
        PAGE_FAULTS PF_P | PF_W, LIN_A, add dword [rbx], 1
        PAGE_FAULTS PF_P | PF_W, LIN_A, lock cmpxchg [rbx], ecx
        CR_CLEAR cr0, CR0_WP
        mov     [rbx + 4], eax                  ; WP counts at once
        CR_SET  cr0, CR0_WP
        PAGE_FAULTS PF_P | PF_W, LIN_A, mov [rbx], eax
        USER
        mov     eax, [rbx]
        PAGE_FAULTS PF_P | PF_W | PF_U, LIN_A, mov [rbx], eax
        SUPERVISOR
        CR_CLEAR cr0, CR0_WP
        USER
        PAGE_FAULTS PF_P | PF_W | PF_U, LIN_A, mov [rbx], eax   ; WP is not for level 3
        SUPERVISOR
        CR_SET  cr0, CR0_WP
        or      dword [rdi], P_W
        and     dword [rdi], ~P_U
        FLUSH64
        mov     [rbx], eax
        USER
        PAGE_FAULTS PF_P | PF_U, LIN_A, mov eax, [rbx]
        PAGE_FAULTS PF_P | PF_W | PF_U, LIN_A, mov [rbx], eax
        SUPERVISOR
        or      dword [rdi], P_U
        and     dword [rdi], ~P_P
        FLUSH64
        PAGE_FAULTS 0, LIN_A + 5, mov eax, [rbx + 5]
        PAGE_FAULTS PF_W, LIN_A, mov [rbx], eax
        USER
        PAGE_FAULTS PF_U, LIN_A, mov eax, [rbx]
        PAGE_FAULTS PF_U | PF_W, LIN_A, mov [rbx], eax
        SUPERVISOR
        or      dword [rdi], P_P
        FLUSH64
        mov     [rbx], eax
        add     esi, 8
        dec     r12d
        jnz     .level
        ret
align 8
.entries: dq    PML4 + 8, PDPT2, PD2, PT2

no_execute:
        mov     byte [PAGE_A], 0xc3
        mov     r12d, 4
        mov     esi, rights.entries
.level: mov     rdi, [rsi]
        mov     r15d, 6
.hot:   call    rbx
        mov     dword [rdi + 4], NX
        FLUSH64
        JUMP_FAULTS PF_P | PF_I, LIN_A
        mov     eax, [rbx]
        mov     [rbx + 4], eax
        USER
        JUMP_FAULTS PF_P | PF_I | PF_U, LIN_A
        SUPERVISOR
        mov     dword [rdi + 4], 0
        FLUSH64
        call    rbx
        dec     r15d
        jnz     .hot
        add     esi, 8
        dec     r12d
        jnz     .level
        ; not present, and not the user's
        ENTRY   PT2, PAGE_A, NX
        JUMP_FAULTS PF_I, LIN_A
        ENTRY   PT2, PAGE_A | P_P | P_W, 0
        USER
        JUMP_FAULTS PF_P | PF_I | PF_U, LIN_A
        SUPERVISOR
        ; without EFER.NXE: the bit is reserved, and fetches do not show
        READ_MSR EFER
        and     eax, ~EFER_NXE
        wrmsr
        ENTRY   PT2, PAGE_A | P_ALL, NX
        JUMP_FAULTS PF_P | PF_RSVD, LIN_A
        PAGE_FAULTS PF_P | PF_RSVD, LIN_A, mov eax, [rbx]
        PAGE_FAULTS PF_P | PF_RSVD | PF_W, LIN_A, mov [rbx], eax
        ENTRY   PT2, 0, NX                      ; not present: nothing is reserved
        JUMP_FAULTS 0, LIN_A
        READ_MSR EFER
        or      eax, EFER_NXE
        wrmsr
        ENTRY   PT2, PAGE_A | P_ALL, 0
        ; an instruction whose tail is on an NX page
        mov     dword [PAGE_A + 0xffe], 0x55b8
        mov     dword [PAGE_B], 0xc3000000
        mov     r15d, 6
.tail:  mov     rax, LIN_A + 0xffe
        call    rax
        EQ      eax, 0x55
        ENTRY   PT2 + 8, PAGE_B | P_ALL, NX
        mov     dword [lx_resume], .tail_next
        mov     dword [lx_count], 0
        mov     rax, LIN_A + 0xffe
        jmp     rax
.tail_next:
        EQ      [lx_count], 1
        EQ      [lx_error], PF_P | PF_I
        EQ64    [lx_cr2], LIN_B
        EQ64    [lx_rip], LIN_A + 0xffe
        ENTRY   PT2 + 8, PAGE_B | P_ALL, 0
        dec     r15d
        jnz     .tail
        ret

; ---- reserved bits: above the physical width (bits 51:40 here), PS in the PML4 ----
%macro RESERVED 3               ; entry, low, high
        push    qword [%1]
        ENTRY   %1, %2, %3
        PAGE_FAULTS PF_P | PF_RSVD, LIN_A, mov eax, [rbx]
        PAGE_FAULTS PF_P | PF_RSVD | PF_W, LIN_A, mov [rbx], eax
        JUMP_FAULTS PF_P | PF_RSVD | PF_I, LIN_A
        USER
        PAGE_FAULTS PF_P | PF_RSVD | PF_U, LIN_A, mov eax, [rbx]
        SUPERVISOR
        pop     qword [%1]
        FLUSH64
        mov     eax, [rbx]
%endmacro
reserved:
        mov     eax, 0x80000008
        cpuid
        mov     rbx, LIN_A
        movzx   ecx, al
        sub     ecx, 32
        mov     r12d, 1
        shl     r12d, cl                        ; the lowest one, in the upper half
        RESERVED PML4 + 8, PDPT2 | P_ALL, r12d
        RESERVED PDPT2, PD2 | P_ALL, r12d
        RESERVED PD2, PT2 | P_ALL, r12d
        RESERVED PT2, PAGE_A | P_ALL, r12d
        RESERVED PML4 + 8, PDPT2 | P_ALL, 0x80000
        RESERVED PT2, PAGE_A | P_ALL, 0x80000
        RESERVED PML4 + 8, PDPT2 | P_ALL | P_PS, 0
        ; bits 62:52 and 11:9 are free, as is G in the upper levels, PAT in a PTE
        ENTRY   PML4 + 8, PDPT2 | P_ALL | 0xe00, 0x7ff00000
        ENTRY   PDPT2, PD2 | P_ALL | 0xf00, 0x7ff00000
        ENTRY   PD2, PT2 | P_ALL | 0xf00 | P_D, 0x7ff00000
        ENTRY   PT2, PAGE_A | P_ALL | 0xe80, 0x7ff00000
        mov     [rbx], eax
        ENTRY   PML4 + 8, PDPT2 | P_ALL, 0
        ENTRY   PDPT2, PD2 | P_ALL, 0
        ENTRY   PD2, PT2 | P_ALL, 0
        ENTRY   PT2, PAGE_A | P_ALL, 0
        ret

; ---- 2 MiB and 1 GiB ----
large:  mov     dword [0x200000 + 0x1ff000], 0x2222
        mov     rdi, LIN_2M + 0x1ff000
        ENTRY   PD2 + 8, 0x200000 | P_ALL | P_PS, 0
        EQ      [rdi], 0x2222
        BITS_EQ [PD2 + 8], AD, P_A
        mov     dword [rdi + 4], 0x3333
        BITS_EQ [PD2 + 8], AD, AD
        EQ      [0x200000 + 0x1ff004], 0x3333
        mov     rdi, LIN_2M + 0x20000
        ENTRY   PD2 + 8, 0x200000 | P_ALL | P_PS | 0x1000, 0    ; the PAT bit
        mov     eax, [rdi]
        ENTRY   PD2 + 8, 0x200000 | P_P | P_PS, 0
        mov     eax, [rdi]
        PAGE_FAULTS PF_P | PF_W, LIN_2M + 0x20000, mov [rdi], eax
        USER
        PAGE_FAULTS PF_P | PF_U, LIN_2M + 0x20000, mov eax, [rdi]
        SUPERVISOR
        ENTRY   PD2 + 8, 0x202000 | P_ALL | P_PS, 0             ; bit 13
        PAGE_FAULTS PF_P | PF_RSVD, LIN_2M + 0x20000, mov eax, [rdi]
        ENTRY   PD2 + 8, 0x300000 | P_ALL | P_PS, 0             ; bit 20
        PAGE_FAULTS PF_P | PF_RSVD | PF_W, LIN_2M + 0x20000, mov [rdi], eax
        mov     byte [PAGE_A], 0xc3
        ENTRY   PD2 + 8, 0x200000 | P_ALL | P_PS, NX
        JUMP_FAULTS PF_P | PF_I, LIN_2M + 0x20000
        ENTRY   PD2 + 8, 0x200000 | P_ALL | P_PS, 0
        call    rdi
        ; across two of them, and from one to small pages
        ENTRY   PD2 + 16, 0x400000 | P_ALL | P_PS, 0
        mov     rdi, LIN_2M + 0x1ffffc
        mov     rax, 0x1122334455667788
        mov     [rdi], rax
        EQ      [0x3ffffc], 0x55667788
        EQ      [0x400000], 0x11223344
        EQ64    [rdi], rax
        ENTRY   PD2 + 16, 0, 0
        PAGE_FAULTS PF_W, LIN_2M + 0x200000, mov [rdi], rax
        ENTRY   PD2 + 8, 0, 0
        ; 1 GiB: physical 0; there are 16 MiB
        ENTRY   PDPT2 + 8, P_ALL | P_PS, 0
        mov     rdi, LIN_1G + PAGE_B
        mov     dword [rdi], 0x4444
        EQ      [PAGE_B], 0x4444
        BITS_EQ [PDPT2 + 8], AD, AD
        BITS_EQ [PML4 + 8], P_A, P_A
        ENTRY   PDPT2 + 8, P_P | P_U | P_PS | 0x1000, NX
        EQ      [rdi], 0x4444
        PAGE_FAULTS PF_P | PF_W, LIN_1G + PAGE_B, mov [rdi], eax
        BITS_EQ [PDPT2 + 8], AD, P_A
        JUMP_FAULTS PF_P | PF_I, LIN_1G + PAGE_A
        ENTRY   PDPT2 + 8, P_ALL | P_PS, 0
        mov     rax, LIN_1G + PAGE_A
        call    rax
        ENTRY   PDPT2 + 8, 0x2000 | P_ALL | P_PS, 0             ; bits 29:13 are reserved
        PAGE_FAULTS PF_P | PF_RSVD, LIN_1G + PAGE_B, mov eax, [rdi]
        ENTRY   PDPT2 + 8, 0x20000000 | P_ALL | P_PS, 0
        PAGE_FAULTS PF_P | PF_RSVD, LIN_1G + PAGE_B, mov eax, [rdi]
        ENTRY   PDPT2 + 8, 0, 0
        PAGE_FAULTS 0, LIN_1G + PAGE_B, mov eax, [rdi]
        ret

; ---- a faulting instruction has done nothing, and happens when it is taken up again ----
restarts:
        mov     qword [lx_hook], .map
        mov     r15d, 10
.hot:   ENTRY   PT2, 0, 0
        mov     qword [PAGE_A + 0x10], 5
        mov     eax, 3
        stc
        adc     [rbx + 0x10], rax               ; 5 + 3 + 1
        EQ64    [PAGE_A + 0x10], 9
        ENTRY   PT2, 0, 0
        mov     rcx, 7
        xadd    [rbx + 0x10], rcx
        EQ64    rcx, 9
        EQ64    [PAGE_A + 0x10], 16
        ENTRY   PT2, 0, 0
        push    qword [rbx + 0x10]
        pop     rcx
        EQ64    rcx, 16
        ENTRY   PT2, 0, 0
        push    rcx
        pop     qword [rbx + 0x18]
        EQ64    [PAGE_A + 0x18], 16
        ENTRY   PT2, 0, 0
        mov     r8, rbx
        mov     r8, [r8 + 0x10]                 ; its own base
        EQ64    r8, 16
        ENTRY   PT2, 0, 0
        ENTRY   PT2 + 8, 0, 0
        mov     rdi, rbx
        mov     ecx, 0x1800 / 8
        mov     eax, 0x77
        rep     stosq
        EQ64    rcx, 0
        EQ64    rdi, LIN_A + 0x1800
        EQ64    [PAGE_B + 0x7f8], 0x77
        ENTRY   PT2, 0, 0
        mov     rsi, rbx
        lodsq
        EQ64    rsi, LIN_A + 8
        EQ64    rax, 0x77
        dec     r15d
        jnz     .hot
        mov     qword [lx_hook], 0
        ret
; maps the page that has faulted
.map:   cmp     qword [lx_vector], PF
        jne     .bad
        mov     rdx, [lx_cr2]
        shr     rdx, 12
        and     edx, 1
        mov     ecx, edx
        shl     ecx, 12
        add     ecx, PAGE_A | P_ALL
        mov     [PT2 + rdx * 8], rcx
        ret
.bad:   FAIL
