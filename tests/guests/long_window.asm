; tests/guests/long_window.asm -- hot accesses while the tables below them change, at both levels:
; what the translator keeps mapped in the host must never outlive an invalidation, whatever way the
; guest asks for it, and must end where an address half, a 512 GiB region or 4 GiB end.
; [SDM 3A 4.8 "Accessed and Dirty Flags", 4.10.4 "Invalidation of TLBs"], [SDM 1 3.3.7 "Address
; Calculations in 64-Bit Mode"]
%include "long.inc"

; LOW is in a region of its own in the lower half, HIGH in one of the upper half; both have the same
; PDPT, so what is said of the tables below it holds for both.
LOW     equ 0x8000000000        ; PML4[1]
HIGH    equ 0xffff800000000000  ; PML4[256]
NEXT    equ 0x10000000000       ; PML4[2]
PDPT_A  equ FREE_TABLES
PD_A    equ FREE_TABLES + 0x1000
PT_A    equ FREE_TABLES + 0x2000
PD_B    equ FREE_TABLES + 0x3000
PT_B    equ FREE_TABLES + 0x4000
PDPT_N  equ FREE_TABLES + 0x5000        ; of NEXT
PD_N    equ FREE_TABLES + 0x6000
PT_N    equ FREE_TABLES + 0x7000
PD_E    equ FREE_TABLES + 0x8000        ; of the end of LOW's region
PT_E    equ FREE_TABLES + 0x9000
PML4_B  equ FREE_TABLES + 0xa000
PT_4G   equ FREE_TABLES + 0xb000
PD_4G   equ FREE_TABLES + 0xc000
PD_3G   equ FREE_TABLES + 0xd000
PT_3G   equ FREE_TABLES + 0xe000
PAGE1   equ 0x220000
PAGE2   equ 0x221000
PAGE3   equ 0x222000
PAGE4   equ 0x223000
LARGE1  equ 0x400000
LARGE2  equ 0x600000
NO_FLUSH equ 1 << 63
AD      equ P_A | P_D
V_INVLPG equ 0x4a               ; services for every level: INVLPG [RBX]
V_CR3    equ 0x4b               ; MOV CR3, CR3
V_PGE    equ 0x4c               ; CR4.PGE there and back
V_INVPCID equ 0x4d              ; INVPCID EAX, [vars64]

; RDI -> the entry for RBX; R12D = P_P, P_W and for CPL 3 P_U
%macro PUT 2                    ; address of the entry, page
        mov     eax, %2
        or      eax, r12d
        mov     [%1], rax
%endmacro
%macro SEES 2                   ; memory operand, value
        mov     r14d, 6
%%next: mov     eax, %1
        cmp     eax, %2
        je      %%good
        mov     ebx, eax
        mov     ecx, %2
        FAIL
%%good: dec     r14d
        jnz     %%next
%endmacro
; The instruction page-faults; error code without the bit for the level
%macro DENIED 3+                ; error, address, instruction
        mov     dword [lx_resume], %%next
        mov     dword [lx_count], 0
        %3
        FAIL
%%next: EQ      [lx_count], 1
        EQ      [lx_vector], PF
        mov     rax, %2
        EQ64    [lx_cr2], rax
        mov     eax, [lx_error]
        and     eax, ~PF_U
        EQ      eax, %1
%endmacro
%macro BY_INVLPG 0
        int     V_INVLPG
%endmacro
%macro BY_CR3 0
        int     V_CR3
%endmacro
%macro BY_PGE 0
        int     V_PGE
%endmacro
%macro BY_INVPCID 1
        mov     qword [vars64], 0
        mov     [vars64 + 8], rbx
        mov     eax, %1
        int     V_INVPCID
%endmacro

; All changes of the entries above [RBX], seen after %1
%macro CHANGES 1+
        mov     r13d, 5
%%loop: PUT     PT_A, PAGE1
        %1
        SEES    [rbx], 0x1111
        BITS_EQ [PT_A], AD, P_A
        mov     [rbx + 8], r13d
        BITS_EQ [PT_A], AD, AD
        EQ      [PAGE1 + 8], r13d
        PUT     PT_A, PAGE2
        %1
        SEES    [rbx], 0x2222
        BITS_EQ [PT_A], AD, P_A
        SEES    [rbx + 4], 0x22
        mov     r14d, 6
%%store:
        mov     [rbx + 8], r14d
        EQ      [PAGE2 + 8], r14d
        dec     r14d
        jnz     %%store
        BITS_EQ [PT_A], AD, AD
        ; D goes, A goes: both come again
        and     dword [PT_A], ~P_D
        %1
        SEES    [rbx], 0x2222
        BITS_EQ [PT_A], AD, P_A
        mov     [rbx + 8], r13d
        BITS_EQ [PT_A], AD, AD
        and     dword [PT_A], ~P_A
        %1
        SEES    [rbx], 0x2222
        BITS_EQ [PT_A], AD, AD
        ; rights
        and     dword [PT_A], ~P_W
        %1
        SEES    [rbx], 0x2222
        DENIED  PF_P | PF_W, rbx, mov [rbx], eax
        or      dword [PT_A], P_W
        %1
        mov     [rbx + 8], r13d
        and     dword [PT_A], ~P_P
        %1
        DENIED  0, rbx, mov eax, [rbx]
        DENIED  PF_W, rbx, add [rbx], eax
        or      dword [PT_A], P_P
        SEES    [rbx], 0x2222
        mov     eax, cs
        test    al, 3
        jz      %%supervisor
        and     dword [PT_A], ~P_U
        %1
        DENIED  PF_P, rbx, mov eax, [rbx]
        or      dword [PT_A], P_U
        %1
%%supervisor:
        ; two pages, the second is absent, read-only
        SEES    [rbx + 0xffe], 0x33330000
        mov     dword [PT_A + 8], 0
        lea     rbx, [rbx + 0x1000]
        %1
        sub     rbx, 0x1000
        SEES    [rbx], 0x2222
        lea     r15, [rbx + 0x1000]
        DENIED  0, r15, mov eax, [rbx + 0xffe]
        PUT     PT_A + 8, PAGE3
        and     dword [PT_A + 8], ~P_W
        SEES    [rbx + 0xffe], 0x33330000
        DENIED  PF_P | PF_W, r15, mov [rbx + 0xffe], rax
        EQ      [PAGE2 + 0xffc], 0
        PUT     PT_A + 8, PAGE3
        ; the levels above
        mov     qword [PD_A], PT_B | P_ALL
        %1
        SEES    [rbx], 0x1111
        mov     qword [PD_A], PT_A | P_ALL
        %1
        SEES    [rbx], 0x2222
        mov     qword [PDPT_A], PD_B | P_ALL
        %1
        SEES    [rbx], 0x1111
        and     dword [PDPT_A], ~P_W
        %1
        SEES    [rbx], 0x1111
        DENIED  PF_P | PF_W, rbx, mov [rbx], eax
        mov     qword [PDPT_A], 0
        %1
        DENIED  0, rbx, mov eax, [rbx]
        mov     qword [PDPT_A], PD_A | P_ALL
        %1
        SEES    [rbx], 0x2222
        mov     eax, [PML4 + 8]
        mov     [vars64 + 16], eax
        mov     dword [PML4 + 8], 0
        mov     dword [PML4 + 256 * 8], 0
        %1
        DENIED  0, rbx, mov eax, [rbx]
        mov     dword [PML4 + 8], PDPT_A | P_ALL
        mov     dword [PML4 + 256 * 8], 0
        test    rbx, rbx
        jns     %%lower
        mov     dword [PML4 + 256 * 8], PDPT_A | P_ALL
%%lower:
        %1
        SEES    [rbx], 0x2222
        dec     r13d
        jnz     %%loop
%endmacro

main64:
        mov     dword [PAGE1], 0x1111
        mov     dword [PAGE2], 0x2222
        mov     dword [PAGE2 + 4], 0x22
        mov     dword [PAGE2 + 0xffc], 0
        mov     dword [PAGE3], 0x3333
        mov     dword [PAGE4], 0x4444
        SET_GATE64 V_INVLPG, CODE64, LINEAR(do_invlpg), A_INT32 | DPL3, 0
        SET_GATE64 V_CR3, CODE64, LINEAR(do_cr3), A_INT32 | DPL3, 0
        SET_GATE64 V_PGE, CODE64, LINEAR(do_pge), A_INT32 | DPL3, 0
        SET_GATE64 V_INVPCID, CODE64, LINEAR(do_invpcid), A_INT32 | DPL3, 0
        SET_ENTRY PML4 + 8, PDPT_A | P_ALL, 0
        SET_ENTRY PDPT_A, PD_A | P_ALL, 0
        SET_ENTRY PD_A, PT_A | P_ALL, 0
        SET_ENTRY PD_B, PT_B | P_ALL, 0
        CR_SET  cr4, CR4_PGE
        mov     r12d, P_P | P_W
        call    prepare
        mov     rbx, LOW
        call    changes
        mov     rbx, LOW
        call    large
        mov     rbx, LOW
        call    ends
        mov     r12d, P_ALL
        call    prepare
        USER
        mov     rbx, LOW
        call    changes
        mov     rbx, LOW
        call    large
        mov     rbx, LOW
        call    ends
        call    stack_ends
        call    beyond
        SUPERVISOR
        call    compat
        call    one_pcid
        mov     r12d, P_P | P_W
        call    prepare
        SET_ENTRY PML4 + 256 * 8, PDPT_A | P_ALL, 0
        FLUSH64
        mov     rbx, HIGH
        call    changes
        mov     rbx, HIGH
        call    large
        call    global_pages
        CR_CLEAR cr4, CR4_PGE
        ret

; The entries for the level of R12D, everything forgotten
prepare:
        PUT     PT_A, PAGE1
        PUT     PT_A + 8, PAGE3
        PUT     PT_B, PAGE1
        PUT     PT_B + 8, PAGE3
        xor     eax, eax
        int     V_PGE
        ret

do_invlpg:
        invlpg  [rbx]
        iretq
do_cr3: push    rax
        mov     rax, cr3
        mov     cr3, rax
        pop     rax
        iretq
do_pge: push    rax
        mov     rax, cr4
        xor     eax, CR4_PGE
        mov     cr4, rax
        xor     eax, CR4_PGE
        mov     cr4, rax
        pop     rax
        iretq
do_invpcid:
        invpcid rax, [vars64]
        iretq

changes:
        CHANGES BY_INVLPG
        CHANGES BY_CR3
        CHANGES BY_PGE
        CHANGES BY_INVPCID 0
        CHANGES BY_INVPCID 1
        CHANGES BY_INVPCID 2
        CHANGES BY_INVPCID 3
        ret

; ---- large pages: INVLPG of any address in one drops all of it ----
large:  mov     dword [LARGE1], 0xa1
        mov     dword [LARGE1 + 0x1ff000], 0xa2
        mov     dword [LARGE2], 0xb1
        mov     dword [LARGE2 + 0x1ff000], 0xb2
        mov     r13d, 6
.loop:  PUT     PD_A + 8, LARGE1 | P_PS
        add     rbx, 0x200000
        int     V_INVLPG
        SEES    [rbx], 0xa1
        SEES    [rbx + 0x1ff000], 0xa2
        BY_INVPCID 2
        SEES    [rbx], 0xa1
        SEES    [rbx + 0x1ff000], 0xa2
        PUT     PD_A + 8, LARGE2 | P_PS
        int     V_INVLPG
        SEES    [rbx + 0x1ff000], 0xb2
        SEES    [rbx], 0xb1
        BY_INVPCID 2
        SEES    [rbx], 0xb1
        ; split: another page in the middle
        PUT     PT_N, LARGE1
        PUT     PT_N + 0x1ff * 8, LARGE1 + 0x1ff000
        PUT     PT_N + 0x100 * 8, PAGE2
        mov     qword [PD_A + 8], PT_N | P_ALL
        int     V_INVLPG
        SEES    [rbx + 0x1ff000], 0xa2
        SEES    [rbx], 0xa1
        SEES    [rbx + 0x100000], 0x2222
        ; and back
        PUT     PD_A + 8, LARGE2 | P_PS
        BY_INVPCID 2
        SEES    [rbx], 0xb1
        SEES    [rbx + 0x1ff000], 0xb2
        ; code in the middle of a page of data: a piece that may not be written, or is not there
        mov     dword [LARGE2 + 0x100000], 0x00c3c301           ; ADD EBX, EAX; RET
        mov     [rbx + 0x100010], eax
        push    rbx
        mov     r14d, 6
.code:  mov     eax, LARGE2 + 0x100000
        call    rax
        dec     r14d
        jnz     .code
        pop     rbx
        BY_INVPCID 2
        SEES    [rbx], 0xb1
        SEES    [rbx + 0x1ff000], 0xb2
        PUT     PD_A + 8, LARGE1 | P_PS
        add     rbx, 0x100000
        int     V_INVLPG
        sub     rbx, 0x100000
        SEES    [rbx], 0xa1
        SEES    [rbx + 0x1ff000], 0xa2
        mov     dword [PD_A + 8], 0
        int     V_INVLPG
        DENIED  0, rbx, mov eax, [rbx]
        sub     rbx, 0x200000
        dec     r13d
        jnz     .loop
        ; 1 GiB: RAM, a hole behind it
        push    rbx
        mov     eax, 0x40000000
        add     rbx, rax
        mov     r13d, 6
.giga:  PUT     PDPT_A + 8, P_PS
        int     V_INVLPG
        SEES    [rbx + PAGE1], 0x1111
        SEES    [rbx + LARGE1], 0xa1
        BY_INVPCID 2
        SEES    [rbx + PAGE1], 0x1111
        SEES    [rbx + LARGE1], 0xa1
        PUT     PDPT_A + 8, 0x40000000 | P_PS
        int     V_INVLPG
        SEES    [rbx + PAGE1], -1
        SEES    [rbx + LARGE1], -1
        PUT     PDPT_A + 8, P_PS
        lea     rbx, [rbx + LARGE1]
        int     V_INVLPG
        lea     rbx, [rbx - LARGE1]
        SEES    [rbx + PAGE1], 0x1111
        mov     dword [PDPT_A + 8], 0
        int     V_INVLPG
        dec     r13d
        jnz     .giga
        pop     rbx
        ret

; ---- where a region ends ----
LAST    equ NEXT - 0x1000
%macro INDEXED 3                ; what makes RCX a number of 32 bits, memory operand, value
        mov     r14d, 6
%%next: %1
        mov     eax, %2
        cmp     eax, %3
        je      %%good
        mov     ebx, eax
        mov     ecx, %3
        FAIL
%%good: dec     r14d
        jnz     %%next
%endmacro
%macro MOVED 0
        mov     ecx, 1
        mov     rcx, rdi
%endmacro
%macro ADDED 0
        mov     ecx, 1
        add     rcx, rdi
%endmacro
ends:   SET_ENTRY PDPT_A + 511 * 8, PD_E | P_ALL, 0
        SET_ENTRY PD_E + 511 * 8, PT_E | P_ALL, 0
        PUT     PT_E + 511 * 8, PAGE3
        PUT     PT_E + 510 * 8, PAGE4
        SET_ENTRY PML4 + 16, PDPT_N | P_ALL, 0
        SET_ENTRY PDPT_N, PD_N | P_ALL, 0
        SET_ENTRY PD_N, PT_N | P_ALL, 0
        PUT     PT_N, PAGE1
        PUT     PT_N + 8, PAGE2
        mov     dword [PAGE3 + 0xffc], 0x33003300
        int     V_CR3
        mov     r13d, 12
.loop:  mov     rbx, NEXT
        SEES    [rbx - 4], 0x33003300
        SEES    [rbx], 0x1111
        SEES    [rbx - 2], 0x11113300
        SEES    [rbx + 0x1000], 0x2222
        SEES    [rbx - 0x2000], 0x4444
        sub     rbx, 4
        SEES    [rbx], 0x33003300
        SEES    [rbx + 4], 0x1111
        SEES    [rbx + 2], 0x11113300
        SEES    [rbx + 0x1004], 0x2222
        ; a group off one base, which walks over the end and back
        mov     rbx, LAST + 0xff0
        mov     r15d, 8
.up:    mov     eax, [rbx]
        mov     ecx, [rbx + 4]
        add     rbx, 4
        add     eax, [rbx - 4]
        mov     edx, [rbx]
        inc     rbx
        mov     edi, [rbx - 1]
        dec     rbx
        cmp     edx, edi
        jne     .bad
        cmp     edx, ecx
        jne     .bad
        dec     r15d
        jnz     .up
        mov     r15d, 8
.down:  mov     ecx, [rbx]
        sub     rbx, 4
        mov     eax, [rbx]
        mov     edx, [rbx + 4]
        cmp     edx, ecx
        jne     .bad
        dec     r15d
        jnz     .down
        mov     rax, LAST + 0xff0
        cmp     rbx, rax
        jne     .bad
        ; the base is far from what is read
        mov     rbx, NEXT + 0x7ffff000
        SEES    [rbx - 0x7ffff000], 0x1111
        SEES    [rbx - 0x7ffff004], 0x33003300
        mov     rbx, NEXT - 0x80000000
        SEES    [rbx + 0x7ffffffc], 0x33003300
        mov     rbx, NEXT - 0x7fffffff
        SEES    [rbx + 0x7fffffff], 0x1111
        ; and what is added to it is an index, as large as one of 32 bits can be
        mov     rbx, NEXT - 8 * 0xffffffff
        INDEXED {mov ecx, 0xffffffff}, [rbx + rcx * 8], 0x1111
        INDEXED {mov ecx, 0xffffffff}, [rbx + rcx * 8 - 4], 0x33003300
        INDEXED {mov ecx, 0xffffffff}, [rbx + rcx * 8 - 2], 0x11113300
        mov     rbx, NEXT - 8 * 0xffffffff - 0x7fffffff
        INDEXED {mov ecx, 0xffffffff}, [rbx + rcx * 8 + 0x7fffffff], 0x1111
        mov     rbx, NEXT + 8 * 0x80000000 + 0x80000000
        mov     edx, 0x80000000
        INDEXED {movsxd rcx, edx}, [rbx + rcx * 8 - 0x80000000], 0x1111
        INDEXED {movsxd rcx, edx}, [rbx + rcx * 8 - 0x7ffff000], 0x2222
        mov     rbx, NEXT - 0xfff
        INDEXED {mov ecx, 0xfff}, [rbx + rcx], 0x1111
        INDEXED {mov ecx, 0xfff}, [nosplit rcx + rbx * 1 - 4], 0x33003300
        INDEXED {mov ecx, 0xfff}, [nosplit rcx + rbx * 1 + 0x1000], 0x2222
        ; wide again: RCX is the address
        mov     rbx, 4
        mov     rdi, NEXT
        INDEXED {mov ecx, 1}, [rdi + rcx - 1], 0x1111
        INDEXED MOVED, [rbx + rcx - 4], 0x1111
        INDEXED ADDED, [rbx + rcx - 9], 0x33003300
        dec     r13d
        jnz     .loop
        ret
.bad:   FAIL

; RSP walks over the end of a region, into nothing, and is set to values far away; at CPL 3
stack_ends:
        mov     [vars64 + 24], rsp
        mov     dword [vars64 + 32], 10
.loop:  mov     rsp, NEXT + 0x10
        push    1
        push    2
        push    3
        push    4
        pop     rax
        cmp     eax, 4
        jne     .bad
        pop     rax
        cmp     eax, 3
        jne     .bad
        call    .one
        add     rsp, 16
        sub     rsp, 0x1000
        push    5
        cmp     qword [rsp], 5
        jne     .bad
        add     rsp, 0x1008
        mov     rbp, NEXT - 0x18
        mov     rax, NEXT + 0x20
        mov     [rbp], rax
        leave
        mov     rax, NEXT - 0x10
        cmp     rsp, rax
        jne     .bad
        mov     rax, NEXT + 0x20
        cmp     rbp, rax
        jne     .bad
        push    rax
        pop     rsp                     ; = RAX
        cmp     rsp, rbp
        jne     .bad
        mov     [rsp - 8], rbp
        mov     rax, [rsp - 8]
        cmp     rax, rbp
        jne     .bad
        ; by steps that are more than any guard has
        mov     r15, rsp
        mov     ecx, 8
.far:   sub     rsp, 0x70000000
        sub     rsp, 0x70000000
        dec     ecx
        jnz     .far
        sub     r15, rsp
        lea     rax, [rsp + r15]
        cmp     rax, rbp
        jne     .bad
        lea     rdx, [rsp - 8]
        DENIED  PF_W, rdx, push rax
        lea     rdx, [rsp + 8]
        DENIED  0, rdx, mov eax, [rsp + 8]
        mov     ecx, 16
.back:  add     rsp, 0x70000000
        dec     ecx
        jnz     .back
        cmp     rsp, rbp
        jne     .bad
        push    rbp
        pop     rax
        cmp     rax, rbp
        jne     .bad
        ; by many small steps
        mov     ecx, 0x4000
.many:  sub     rsp, 0x70000
        sub     rsp, 0x70000
        sub     rsp, 0x70000
        dec     ecx
        jnz     .many
        lea     rdx, [rsp - 8]
        DENIED  PF_W, rdx, push rax
        mov     rsp, 0x800000000008             ; not canonical
        FAULTS  SS_, 0, call .none
        FAULTS  SS_, 0, push 1
        FAULTS  SS_, 0, pop rax
        FAULTS  SS_, 0, mov rax, [rsp + 8]
        sub     rsp, 16
        DENIED  PF_W, 0x7ffffffffff0, push 1
        DENIED  0, 0x7ffffffffff8, ret
        mov     rsp, 0xffff800000000008
        DENIED  PF_W, 0xffff800000000000, push 1
        sub     rsp, 16
        FAULTS  SS_, 0, ret
        mov     rsp, [vars64 + 24]
        dec     dword [vars64 + 32]
        jnz     .loop
        mov     qword [PAGE1], 0x1111
        ret
.one:   mov     rax, [rsp]
        cmp     rax, [rsp]
        jne     .bad
        ret
.none:  FAIL
.bad:   mov     rsp, [vars64 + 24]
        FAIL

; What CPL 3 may not have: the upper half, addresses that are none; RBX + disp wraps around
beyond: mov     r13d, 6
.loop:  mov     rbx, 0x800000000000
        FAULTS  GP, 0, mov eax, [rbx]
        FAULTS  GP, 0, mov eax, [rbx + 0x7fffffff]
        FAULTS  GP, 0, mov eax, [rbx - 2]
        DENIED  0, 0x7ffffffffff8, mov eax, [rbx - 8]
        DENIED  PF_W, 0x7ffffffffff8, inc dword [rbx - 8]
        mov     rbx, 0xffff7fffffffffff
        FAULTS  GP, 0, mov eax, [rbx]
        FAULTS  GP, 0, mov [rbx - 7], eax
        DENIED  0, 0xffff800000000000, mov eax, [rbx + 1]
        mov     rbx, 0xffff800000000000
        DENIED  0, rbx, mov eax, [rbx]
        DENIED  PF_W, rbx, mov [rbx], eax
        FAULTS  GP, 0, mov al, [rbx - 1]
        mov     rbx, -8
        SEES    [rbx + PAGE1 + 8], 0x1111
        DENIED  0, rbx, mov eax, [rbx]
        DENIED  0, 0xffffffff80000000, mov eax, [abs dword 0xffffffff80000000]
        mov     rbx, 0x1234567890000000
        FAULTS  GP, 0, mov eax, [rbx]
        FAULTS  GP, 0, mov eax, [rbx + rbx]
        mov     rsi, 0x4000000000000000
        FAULTS  GP, 0, mov eax, [rsi + rsi]
        SEES    [rsi * 4 + PAGE1], 0x1111
        mov     eax, PAGE1
        DENIED  0, 0x7fff00000000, mov eax, [abs qword 0x7fff00000000]
        FAULTS  GP, 0, mov eax, [abs qword 0x7fff0000000000]
        mov     rbp, 0x800000000000
        FAULTS  SS_, 0, mov eax, [rbp]
        FAULTS  SS_, 0, leave
        dec     r13d
        jnz     .loop
        ret

; ---- compatibility mode: addresses have 32 bits, whatever is mapped above ----
compat: SET_ENTRY PDPT + 8 * 3, PD_3G | P_ALL, 0
        SET_ENTRY PD_3G + 511 * 8, PT_3G | P_ALL, 0
        SET_ENTRY PT_3G + 511 * 8, PAGE3 | P_ALL, 0
        SET_ENTRY PDPT + 8 * 4, PD_4G | P_ALL, 0
        SET_ENTRY PD_4G, PT_4G | P_ALL, 0
        SET_ENTRY PT_4G, PAGE4 | P_ALL, 0
        SET_ENTRY PT_4G + 8, PAGE2 | P_ALL, 0
        SET_ENTRY PT, PAGE1 | P_ALL, 0
        mov     dword [PAGE3 + 0xffc], 0x33003300
        FLUSH64
        USER
        mov     rbx, 0x100000000
        SEES    [rbx], 0x4444
        SEES    [rbx + 0x1000], 0x2222
        SEES    [rbx - 4], 0x33003300
        SEES    [rbx - 2], 0x44443300
        SUPERVISOR
        USER_COMPAT
        mov     esi, 10
.loop:  mov     ebx, -4
        mov     eax, [ebx]
        EQ      eax, 0x33003300
        mov     eax, [ebx + 4]
        EQ      eax, 0x1111
        mov     eax, [ebx + ebx + 8]
        EQ      eax, 0x1111
        ; over the end: an exception, or around it
        mov     dword [lx_resume], .wrapped
        mov     eax, 0x11113300
        mov     eax, [ebx + 2]
        mov     dword [lx_resume], 0
        EQ      eax, 0x11113300
.wrapped:
        mov     dword [lx_resume], .wrapped2
        mov     edx, [ebx + 3]
        mov     dword [lx_resume], 0
        EQ      edx, 0x00111133
.wrapped2:
        dec     esi
        jnz     .loop
        SUPERVISOR
        SET_ENTRY PT, P_ALL, 0
        SET_ENTRY PDPT + 8 * 3, 0, 0
        SET_ENTRY PDPT + 8 * 4, 0, 0
        FLUSH64
        ret

; ---- one PCID, two roots: INVLPG drops what was cached under either ----
%macro SWITCH 1
        mov     rax, %1
        mov     cr3, rax
%endmacro
one_pcid:
        mov     esi, PML4
        mov     edi, PML4_B
        mov     ecx, 512
        rep     movsq
        mov     qword [PML4_B + 8], PDPT_N | P_ALL      ; what is at LOW: PT_N
        PUT     PT_N, PAGE2
        PUT     PT_A, PAGE1
        CR_SET  cr4, CR4_PCIDE
        mov     r13d, 8
.loop:  SWITCH  PML4_B | 1
        call    .user_reads
        EQ      edx, 0x2222
        SWITCH  PML4 | 1
        call    .user_reads
        EQ      edx, 0x1111
        SWITCH  PML4_B | 1 | NO_FLUSH
        call    .user_reads                     ; either
        PUT     PT_N, PAGE3
        SWITCH  PML4 | 1 | NO_FLUSH
        mov     rbx, LOW
        invlpg  [rbx]
        SWITCH  PML4_B | 1 | NO_FLUSH
        call    .user_reads
        EQ      edx, 0x3333
        PUT     PT_N, PAGE2
        SWITCH  PML4 | 1 | NO_FLUSH
        mov     qword [vars64], 1
        mov     rax, LOW
        mov     [vars64 + 8], rax
        xor     eax, eax
        invpcid rax, [vars64]
        SWITCH  PML4_B | 1 | NO_FLUSH
        call    .user_reads
        EQ      edx, 0x2222
        dec     r13d
        jnz     .loop
        SWITCH  PML4
        CR_CLEAR cr4, CR4_PCIDE
        ret
.user_reads:
        USER
        mov     rbx, LOW
        mov     ecx, 20
.read:  mov     edx, [rbx]
        dec     ecx
        jnz     .read
        SUPERVISOR
        ret

; ---- global pages in a window that all address spaces share ----
global_pages:
        mov     rbx, HIGH
        mov     esi, PML4
        mov     edi, PML4_B
        mov     ecx, 512
        rep     movsq
        mov     r13d, 8
.loop:  PUT     PT_A, PAGE1 | P_G
        int     V_PGE
        SEES    [rbx], 0x1111
        SEES    [rbx + 0x1000], 0x3333
        PUT     PT_A, PAGE2 | P_G
        PUT     PT_A + 8, PAGE4
        SWITCH  PML4_B
        SEES    [rbx + 0x1000], 0x4444          ; this one is not global
        invlpg  [rbx]
        SEES    [rbx], 0x2222
        SWITCH  PML4
        SEES    [rbx], 0x2222
        PUT     PT_A, PAGE3 | P_G
        PUT     PT_A + 8, PAGE3
        int     V_PGE
        SEES    [rbx], 0x3333
        SEES    [rbx + 0x1000], 0x3333
        PUT     PT_A, PAGE1
        int     V_INVLPG
        SEES    [rbx], 0x1111
        dec     r13d
        jnz     .loop
        ret
