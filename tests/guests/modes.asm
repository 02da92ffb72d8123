; tests/guests/modes.asm -- one piece of hot code at one address, run again after something that it
; silently depends on has changed: privilege level, segment bases, limits and sizes, CR0, CR4,
; EFLAGS, paging, page tables.  A translation made for one state must not run in another.
%include "common.inc"
%include "paging.inc"

BASED   equ FREE                ; data, DPL 3, base DATA
LIMITED equ FREE + 8            ; data, DPL 3, base 0, ends at DATA + 3
STACK16 equ FREE + 0x10         ; data, DPL 3, 16-bit
CODE_B  equ FREE + 0x18         ; code, base -0x100
RDONLY  equ FREE + 0x20         ; data, DPL 3, read-only
PAGE_A  equ 0x200000
KEEP    equ P_P | P_W | P_U

%macro HOT 1                    ; call it a few times
  %rep 4
        call    %1
  %endrep
%endmacro
%macro REFUSED 3                ; label, vector, error: the instruction behind the label faults
        mov     dword [ss:ex_resume], %%next
        mov     dword [ss:ex_count], 0
        mov     esi, esp
        call    %1
        FAIL
%%next: mov     esp, esi
        EQ      [ss:ex_count], 1
        EQ      [ss:ex_vector], %2
        EQ      [ss:ex_error], %3
        EQ      [ss:ex_eip], %1
%endmacro

main:
        SET_DESC BASED, DATA, 0xfffff, A_DATA | DPL3, G_4K | D_32
        SET_DESC LIMITED, 0, DATA + 3, A_DATA | DPL3, D_32
        SET_DESC STACK16, 0, 0xffff, A_DATA | DPL3, 0
        SET_DESC CODE_B, 0xffffff00, 0xfffff, A_CODE, G_4K | D_32
        SET_DESC RDONLY, 0, 0xfffff, (A_DATA | DPL3) & ~2, G_4K | D_32
        fninit
        mov     eax, cr4
        or      eax, CR4_OSFXSR
        mov     cr4, eax
        mov     ebp, 3
.round: mov     dword [DATA], 0x11111111
        mov     dword [DATA + 4], 0x44444444
        mov     dword [DATA + DATA], 0x22222222

        ; ---- bases, limits and types of DS ----
        HOT     load
        EQ      eax, 0x11111111
        mov     eax, BASED
        mov     ds, ax
        HOT     load
        EQ      eax, 0x22222222
        mov     eax, LIMITED
        mov     ds, ax
        HOT     load
        EQ      eax, 0x11111111
        mov     eax, LIMITED
        REFUSED load4, GP, 0
        HOT     store
        mov     eax, RDONLY
        mov     ds, ax
        HOT     load
        EQ      eax, 0x33333333
        REFUSED store, GP, 0
        xor     eax, eax
        mov     ds, ax
        REFUSED load, GP, 0
        mov     eax, DATA32
        mov     ds, ax
        HOT     load
        HOT     store
        ; ---- the stack's size ----
        HOT     pushes
        EQ      edx, 8
        mov     edi, esp
        mov     eax, DATA16
        mov     ss, ax                          ; 16-bit, SP = the low half of ESP
        or      esp, 0x70000
        HOT     pushes
        EQ      edx, 8
        and     esp, 0xffff
        mov     eax, DATA32
        mov     ss, ax
        EQ      esp, edi
        ; ---- CS with a base: the same bytes at another offset ----
        HOT     where
        EQ      eax, where.here
        mov     ecx, 4
.where: call    CODE_B:where_far + 0x100
        EQ      eax, where.here + 0x100
        loop    .where
        HOT     where
        EQ      eax, where.here
        ; ---- CPL and IOPL: CLI, STI, IN, HLT, MOV CR, RDTSC ----
        HOT     do_cli
        HOT     do_in
        HOT     do_cr
        HOT     do_rdtsc
        HOT     do_pushf
        USER
        REFUSED do_cli, GP, 0
        REFUSED do_in, GP, 0
        REFUSED do_cr, GP, 0
        HOT     do_rdtsc
        SUPERVISOR
        USER    3
        HOT     do_cli
        HOT     do_in
        REFUSED do_cr, GP, 0
        SUPERVISOR
        USER    0
        REFUSED do_cli, GP, 0
        SUPERVISOR
        HOT     do_cli
        HOT     do_cr
        ; CR4.TSD
        mov     eax, cr4
        or      eax, 4
        mov     cr4, eax
        HOT     do_rdtsc
        USER
        REFUSED do_rdtsc, GP, 0
        SUPERVISOR
        mov     eax, cr4
        and     eax, ~4
        mov     cr4, eax
        USER
        HOT     do_rdtsc
        SUPERVISOR
        ; ---- TS, EM, OSFXSR ----
        HOT     do_fpu
        HOT     do_sse
        mov     eax, cr0
        or      eax, CR0_TS
        mov     cr0, eax
        REFUSED do_fpu, NM, 0
        REFUSED do_sse, NM, 0
        clts
        HOT     do_fpu
        HOT     do_sse
        mov     eax, cr0
        or      eax, CR0_EM
        mov     cr0, eax
        REFUSED do_fpu, NM, 0
        REFUSED do_sse, UD, 0
        mov     eax, cr0
        and     eax, ~CR0_EM
        mov     cr0, eax
        HOT     do_sse
        mov     eax, cr4
        and     eax, ~CR4_OSFXSR
        mov     cr4, eax
        HOT     do_fpu
        REFUSED do_sse, UD, 0
        mov     eax, cr4
        or      eax, CR4_OSFXSR
        mov     cr4, eax
        HOT     do_sse
        ; ---- code size: the same bytes as 16- and 32-bit code ----
        mov     ecx, 4
.size:  call    sized
        EQ      eax, 0x12345678
        jmp     CODE16:sized16
.sized_back:
        EQ      eax, 0x5678 ^ 0x12
        loop    .size
        ; ---- paging on, off; U/S and W in entries; WP; NX has its own program ----
        HOT     load
        call    paging_on
        HOT     load
        EQ      eax, 0x33333333
        mov     dword [PAGE_A], 0x55555555
        MAP     DATA, PAGE_A | KEEP
        HOT     load
        EQ      eax, 0x55555555
        HOT     store
        EQ      [PAGE_A], 0x33333333
        MAP     DATA, DATA | P_P | P_U
        HOT     store                           ; WP = 0
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
        REFUSED store, PF, PF_P | PF_W
        HOT     load
        mov     eax, cr0
        and     eax, ~CR0_WP
        mov     cr0, eax
        HOT     store
        USER
        HOT     load
        REFUSED store, PF, PF_P | PF_W | PF_U
        SUPERVISOR
        MAP     DATA, DATA | P_P | P_W          ; supervisor
        HOT     store
        HOT     load
        USER
        REFUSED load, PF, PF_P | PF_U
        SUPERVISOR
        HOT     load
        MAP     DATA, DATA | KEEP
        USER
        HOT     load
        HOT     store
        SUPERVISOR
        ; the code itself becomes inaccessible to CPL 3, or absent
        USER
        HOT     far_page
        SUPERVISOR
        MAP     LINEAR(far_page), LINEAR(far_page) | P_P | P_W
        HOT     far_page
        USER
        REFUSED far_page, PF, PF_P | PF_U
        SUPERVISOR
        MAP     LINEAR(far_page), 0
        REFUSED far_page, PF, 0
        MAP     LINEAR(far_page), LINEAR(far_page) | KEEP
        HOT     far_page
        call    paging_off
        HOT     load
        EQ      eax, 0x33333333
        ; ---- AC and AM: unaligned accesses of hot code at CPL 3 ----
        USER
        HOT     unaligned
        SUPERVISOR
        mov     eax, cr0
        or      eax, CR0_AM
        mov     cr0, eax
        USER
        HOT     unaligned
        push    dword F_AC | 2
        popfd
        REFUSED unaligned, AC, 0
        push    dword 2
        popfd
        HOT     unaligned
        SUPERVISOR
        mov     eax, cr0
        and     eax, ~CR0_AM
        mov     cr0, eax
        ; ---- DF ----
        HOT     string
        EQ      edi, DATA + 0x104
        std
        HOT     string
        cld
        EQ      edi, DATA + 0xfc
        dec     ebp
        jnz     .round
        ret

load:   mov     eax, [DATA]
        ret
load4:  mov     eax, [DATA + 4]
        ret
store:  mov     dword [DATA], 0x33333333
        ret
; EDX = bytes that two pushes take
pushes: mov     edx, esp
        push    eax
        push    ecx
        sub     edx, esp
        pop     ecx
        pop     eax
        ret
where:  call    .here
.here:  pop     eax
        ret
where_far:                              ; reached with CODE_B's offsets
        call    where
        retf
do_cli: cli
        ret
do_in:  in      al, 0x99
        ret
do_cr:  mov     eax, cr0
        ret
do_rdtsc:
        rdtsc
        ret
do_pushf:
        pushfd
        popfd
        ret
do_fpu: fld1
        fstp    st0
        ret
do_sse: xorps   xmm0, xmm0
        ret
unaligned:
        mov     eax, [DATA + 1]
        ret
string: mov     edi, DATA + 0x100
        stosd
        ret
; 32-bit: MOV EAX, 0x12345678; TEST EAX, EAX; RET.  16-bit: MOV AX, 0x5678; XOR AL, 0x12;
; TEST AX, AX; RET.
sized:  db      0xb8, 0x78, 0x56, 0x34, 0x12
        db      0x85, 0xc0
        ret
bits 16
sized16:
        xor     eax, eax
        call    sized
        jmp     dword CODE32:main.sized_back
bits 32
        align   4096
far_page:
        mov     eax, 1
        ret
        align   4096
