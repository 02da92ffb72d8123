; bench/guest/nano.asm -- what single system operations cost, in cycles of the time stamp counter: a
; multiboot kernel of its own in long mode, without interrupts.
;
;   nasm -f bin -o nano nano.asm     then -kernel nano -append 'ROW ...' (all rows without any)
;       -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4
;
; Each row is a loop of many iterations, run ROUNDS times; the fastest round counts.  Prints a line a
; row: name (as the row starts), cycles of one iteration with one decimal, iterations.  Ends through
; isa-debug-exit with 0 (exit status 1); an exception that no row asked for ends with 1 (status 3).
;
; The code_ rows are of new code: cycles of one of its instructions the first, second, third time
; that it runs.  Every round makes functions of its own, in memory that has not held code before.
;
; Memory: this image at 2 MiB, its tables behind it.  The first 16 MiB are mapped one to one by
; 2 MiB pages; 4 to 6 MiB by the 4 KiB pages of `pt`, of which there is one.  Every level may use
; what is below 8 MiB.  Above is the kernel's own, as a kernel's memory usually is: what new code
; reads and writes, then new code, some 64 KiB a round.
        bits    32
BASE    equ     0x200000
        org     BASE
ROUNDS  equ     5

KCODE   equ     0x08
UDATA   equ     0x20 | 3
UCODE   equ     0x28 | 3
TSS_SEL equ     0x30
ABSENT  equ     0x400000        ; linear: its page-table entry stays 0
CHANGED equ     0x401000        ; linear: its entry is the one that ptemod writes
FRAME_A equ     0x600000
FRAME_B equ     0x601000
SCRATCH equ     0x800000        ; what new code reads and writes: one page
TABLE   equ     0x801000        ; where its functions are
CODE_STACK equ  0x810000
CODE    equ     0xa00000
FUNCTIONS equ   1000            ; of new code
LENGTH  equ     12              ; instructions that one of them runs, RET included

        align   4
header: dd      0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
        dd      header, BASE, end, bss_end, entry

entry:  cld
        mov     esp, stack
        cmp     eax, 0x2badb002
        jne     $
        mov     eax, [ebx + 16]                 ; command line
        mov     [command_line], eax
        mov     dword [pml4], pdpt + 7
        mov     dword [pdpt], pd + 7
        mov     edi, pd
        mov     eax, 0x87                       ; 2 MiB page: present, writable, user
        mov     ecx, 8
.page:  mov     [edi], eax
        add     eax, 0x200000
        add     edi, 8
        loop    .page
%assign i 4
%rep 4
        and     byte [pd + i * 8], ~4           ; not for level 3
%assign i i + 1
%endrep
        mov     dword [pd + 2 * 8], pt + 7
        mov     dword [pt + 8], FRAME_A + 0x67
        mov     dword [FRAME_A], 0
        mov     dword [FRAME_B], 1
        mov     eax, cr4
        or      eax, 0x20                       ; PAE
        mov     cr4, eax
        mov     eax, pml4
        mov     cr3, eax
        mov     ecx, 0xc0000080                 ; EFER: LME, SCE
        rdmsr
        or      eax, 0x101
        wrmsr
        mov     eax, cr0
        or      eax, 0x80010000                 ; PG, WP
        mov     cr0, eax
        mov     eax, tss
        mov     [gdt + TSS_SEL + 2], ax
        shr     eax, 16
        mov     [gdt + TSS_SEL + 4], al
        mov     [gdt + TSS_SEL + 7], ah
        mov     dword [tss + 4], interrupt_stack ; RSP0
        lgdt    [gdtr]
        jmp     KCODE:in_long_mode

        bits    64
        default rel
%macro GATE 3 ; vector, handler, type
        mov     edi, %1
        mov     eax, %2
        mov     edx, %3
        call    gate
%endmacro
in_long_mode:
        mov     eax, KCODE + 8
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     eax, TSS_SEL
        ltr     ax
        mov     ebx, 31
.gates: GATE    ebx, unexpected, 0x8e
        dec     ebx
        jns     .gates
        GATE    0, on_divide, 0x8e
        GATE    14, on_page_fault, 0x8e
        GATE    0x80, on_leave_user, 0xee
        lidt    [idtr]
        mov     ecx, 0xc0000081                 ; STAR
        xor     eax, eax
        mov     edx, (0x18 | 3) << 16 | KCODE
        wrmsr
        inc     ecx                             ; LSTAR
        mov     eax, on_syscall
        xor     edx, edx
        wrmsr
        mov     ecx, 0xc0000084                 ; FMASK
        xor     eax, eax
        wrmsr

        mov     dword [next_code], CODE
        mov     dword [seed], 1
        lea     rbp, [rows]
.row:   cmp     dword [rbp], 0
        je      done
        call    wanted
        jne     .next
        lea     rsi, [rbp + 12]
        call    print
        mov     r13, -1                         ; fastest
        mov     r15d, ROUNDS
.round: mov     eax, [rbp]
        mov     ebx, [rbp + 4]                  ; iterations
        call    rax
        cmp     rax, r13
        cmovb   r13, rax
        dec     r15d
        jnz     .round
        mov     al, ' '
        call    put
        imul    rax, r13, 10
        xor     edx, edx
        mov     ecx, [rbp + 4]
        div     rcx
        xor     edx, edx
        mov     ecx, 10
        div     rcx
        push    rdx
        call    print_number
        mov     al, '.'
        call    put
        pop     rax
        call    print_number
        mov     al, ' '
        call    put
        mov     eax, [rbp + 4]
        call    print_number
        mov     al, 10
        call    put
.next:  mov     eax, [rbp + 8]                  ; length of the name with its 0
        lea     rbp, [rbp + rax + 12]
        jmp     .row
done:   xor     eax, eax
exit:   out     0xf4, al
        hlt
        jmp     $ - 1

; edi = vector, eax = handler, edx = type and DPL
gate:   shl     edi, 4
        add     edi, idt
        mov     [rdi], ax
        mov     word [rdi + 2], KCODE
        mov     byte [rdi + 5], dl
        shr     eax, 16
        mov     [rdi + 6], ax
        ret

; ---- the rows: ebx = iterations; rax = cycles; rbp, r13, r15 are the caller's ----

%macro BEGIN 0
        lfence
        rdtsc
        shl     rdx, 32
        lea     r14, [rax + rdx]
        align   16
%endmacro
%macro END 0
        lfence
        rdtsc
        shl     rdx, 32
        add     rax, rdx
        sub     rax, r14
%endmacro

; From level 3 into the kernel by SYSCALL and straight back by SYSRET.
do_syscall:
        mov     [kernel_stack], rsp
        push    UDATA
        push    user_stack
        push    2
        push    UCODE
        push    .user
        iretq
.user:  BEGIN
.again: syscall
        dec     ebx
        jnz     .again
        END
        int     0x80
on_syscall:
        o64 sysret
on_leave_user:
        mov     rsp, [kernel_stack]
        ret

; A byte from the diagnostic port, behind which there is no device.
do_in:  BEGIN
.again: in      al, 0x80
        dec     ebx
        jnz     .again
        END
        ret

; The task priority, raised and lowered by turns.
do_cr8wr:
        xor     esi, esi
        BEGIN
.again: xor     esi, 8
        mov     cr8, rsi
        dec     ebx
        jnz     .again
        END
        ret

; A call of a function that returns at once.
do_callret:
        BEGIN
.again: call    nothing
        dec     ebx
        jnz     .again
        END
        ret
        align   16
nothing:
        ret

; A read of a page that is absent; the handler goes on behind it.
do_pgfault:
        BEGIN
.again: mov     eax, [abs ABSENT]
.size   equ     $ - .again
        dec     ebx
        jnz     .again
        END
        ret
on_page_fault:
        add     rsp, 8                          ; error code
        add     qword [rsp], do_pgfault.size
        iretq

; A division by zero; the handler goes on behind it.
do_divzero:
        xor     ecx, ecx
        BEGIN
.again: div     ecx
.size   equ     $ - .again
        dec     ebx
        jnz     .again
        END
        ret
on_divide:
        add     qword [rsp], do_divzero.size
        iretq

; A write to a page-table entry that is in use.
do_ptemod:
        mov     esi, FRAME_A + 0x67
        BEGIN
.again: xor     esi, FRAME_A ^ FRAME_B
        mov     [pt + 8], rsi
        dec     ebx
        jnz     .again
        END
        invlpg  [abs CHANGED]
        ret

; The same, then INVLPG and a read that has to see the new page: it holds the number of its frame.
do_ptemod_use:
        mov     esi, FRAME_A + 0x67
        BEGIN
.again: xor     esi, FRAME_A ^ FRAME_B
        mov     [pt + 8], rsi
        invlpg  [abs CHANGED]
        mov     eax, esi
        shr     eax, 12
        and     eax, 1
        cmp     eax, [abs CHANGED]
        jne     unexpected
        dec     ebx
        jnz     .again
        END
        ret

; New code, run once and timed; run once before; run twice before.  Only its own instructions count,
; not the four for each function that call it.
do_code_third:
        call    make_code
        call    run_code
        jmp     do_code_second.once
do_code_second:
        call    make_code
.once:  call    run_code
        jmp     do_code_first.timed
do_code_first:
        call    make_code
.timed: BEGIN
        call    run_code
        END
        ret

; Calls every function once; they change rax, rbx, rcx, rdx and r8 to r11.
run_code:
        mov     rax, rsp
        mov     esp, CODE_STACK
        push    rax
        mov     edi, SCRATCH
        mov     esi, TABLE
        mov     r12d, FUNCTIONS
.again: call    [rsi]
        add     rsi, 8
        dec     r12d
        jnz     .again
        pop     rsp
        ret

; Makes FUNCTIONS functions, one behind the other from the next page on, and notes them in
; TABLE.  Each is random templates that run LENGTH - 1 instructions, and RET.
make_code:
        mov     edi, [next_code]
        add     edi, 4095
        and     edi, -4096
        mov     r8d, TABLE
        mov     r9d, FUNCTIONS
.function:
        mov     [r8], rdi
        add     r8, 8
        mov     ecx, LENGTH - 1                 ; to be made
.template:
        call    random
        and     eax, 15
        imul    eax, TEMPLATE_SIZE
        lea     rsi, [templates + rax]
        movzx   edx, byte [rsi]                 ; instructions that it runs
        cmp     edx, ecx
        ja      .template
        sub     ecx, edx
        movzx   edx, byte [rsi + 1]             ; bytes
        add     rsi, 2
.byte:  call    random
        and     al, [rsi + TEMPLATE_BYTES]
        or      al, [rsi]
        stosb
        inc     rsi
        dec     edx
        jnz     .byte
        test    ecx, ecx
        jnz     .template
        mov     al, 0xc3                        ; RET
        stosb
        dec     r9d
        jnz     .function
        mov     [next_code], edi
        ret

; eax = 8 random bits; the generator is Knuth's MMIX one.
random: mov     rax, 6364136223846793005
        imul    rax, [seed]
        mov     r10, 1442695040888963407
        add     rax, r10
        mov     [seed], rax
        shr     rax, 56
        ret

unexpected:
        lea     rsi, [.text]
        call    print
        mov     al, 1
        jmp     exit
.text:  db      " unexpected", 10, 0

; ---- command line and output ----

; ZF = the row at rbp is to run: its name is a word of the command line behind the image's own
; name, or nothing is.
wanted: mov     esi, [command_line]
        call    .skip
        call    .blanks
        cmp     byte [rsi], 0
        je      .yes
.word:  lea     rdi, [rbp + 12]
.same:  mov     al, [rdi]
        cmp     al, [rsi]
        jne     .end
        inc     rdi
        inc     rsi
        test    al, al
        jnz     .same
.yes:   ret
.end:   test    al, al
        jnz     .other
        cmp     byte [rsi], ' '
        je      .yes
.other: call    .skip
        call    .blanks
        cmp     byte [rsi], 0
        jne     .word
        test    esp, esp                        ; ZF 0
        ret
.skip:  cmp     byte [rsi], ' '                 ; to the end of the word
        jbe     .stay
        inc     rsi
        jmp     .skip
.blanks:
        cmp     byte [rsi], ' '
        jne     .stay
        inc     rsi
        jmp     .blanks
.stay:  ret

print:  lodsb
        test    al, al
        jz      .end
        call    put
        jmp     print
.end:   ret

; rax in decimal
print_number:
        xor     edx, edx
        mov     ecx, 10
        div     rcx
        push    rdx
        test    rax, rax
        jz      .digit
        call    print_number
.digit: pop     rax
        add     al, '0'
put:    push    rax
        mov     edx, 0x3fd
.wait:  in      al, dx
        test    al, 0x20                        ; transmitter empty
        jz      .wait
        pop     rax
        mov     edx, 0x3f8
        out     dx, al
        ret

; ---- data ----

%macro ROW 3 ; name, function, iterations
        %strlen %%n %1
        dd      %2, %3, %%n + 1
        db      %1, 0
%endmacro
rows:   ROW     "syscall", do_syscall, 200000
        ROW     "in", do_in, 200000
        ROW     "cr8wr", do_cr8wr, 400000
        ROW     "callret", do_callret, 5000000
        ROW     "pgfault", do_pgfault, 100000
        ROW     "divzero", do_divzero, 100000
        ROW     "ptemod", do_ptemod, 1000000
        ROW     "ptemod_use", do_ptemod_use, 100000
        ROW     "code_first", do_code_first, FUNCTIONS * LENGTH
        ROW     "code_second", do_code_second, FUNCTIONS * LENGTH
        ROW     "code_third", do_code_third, FUNCTIONS * LENGTH
        dd      0

; What new code is made of: instructions run, bytes, the bytes, and the bits of each that are
; random.  Registers (`r`) are then any of rax, rcx, rdx, rbx, r8 to r11, sizes 32 or 64 bits;
; rdi = SCRATCH, so that it is known which way a jump goes.
TEMPLATE_BYTES  equ     12
TEMPLATE_SIZE   equ     2 + 2 * TEMPLATE_BYTES
%macro TEMPLATE 3+ ; instructions run, bytes, the bytes and their random bits
        db      %1, %2
        TEMPLATE_ROWS %2, %3
%endmacro
%macro TEMPLATE_ROWS 2-*
        %assign %%size %1
        %rep %%size
        db      %2
        %rotate 1
        %endrep
        times TEMPLATE_BYTES - %%size db 0
        %rep %%size
        db      %2
        %rotate 1
        %endrep
        times TEMPLATE_BYTES - %%size db 0
%endmacro
templates:
        ; ADD, OR, ADC, SBB, AND, SUB, XOR, CMP r, r
        TEMPLATE 1, 3,  0x40,0x01,0xc0,                 0x0d,0x3a,0x1b
        ; the same r, imm8
        TEMPLATE 1, 4,  0x40,0x83,0xc0,0,               0x09,0x00,0x3b,0xff
        ; r, imm32
        TEMPLATE 1, 7,  0x40,0x81,0xc0,0,0,0,0,         0x09,0x00,0x3b,0xff,0xff,0xff,0xff
        ; r, [rdi + disp8]
        TEMPLATE 1, 4,  0x40,0x03,0x47,0,               0x0c,0x38,0x18,0x7c
        ; [rdi + disp8], r
        TEMPLATE 1, 4,  0x40,0x01,0x47,0,               0x0c,0x38,0x18,0x7c
        ; MOV r, imm32
        TEMPLATE 1, 6,  0x40,0xb8,0,0,0,0,              0x01,0x03,0xff,0xff,0xff,0xff
        ; MOV r, r
        TEMPLATE 1, 3,  0x40,0x89,0xc0,                 0x0d,0x00,0x1b
        ; MOV r, [rdi + disp8]
        TEMPLATE 1, 4,  0x40,0x8b,0x47,0,               0x0c,0x00,0x18,0x7c
        ; MOV [rdi + disp8], r
        TEMPLATE 1, 4,  0x40,0x89,0x47,0,               0x0c,0x00,0x18,0x7c
        ; LEA r, [r + r * 1, 2, 4 or 8 + disp8]
        TEMPLATE 1, 5,  0x40,0x8d,0x44,0,0,             0x0f,0x00,0x18,0xdb,0xff
        ; MOVZX, MOVSX r, byte or word [rdi + disp8]
        TEMPLATE 1, 5,  0x40,0x0f,0xb6,0x47,0,          0x0c,0x00,0x09,0x18,0x7f
        ; SHL, SHR r, imm8
        TEMPLATE 1, 4,  0x40,0xc1,0xe0,0,               0x09,0x00,0x0b,0x1f
        ; TEST r, r
        TEMPLATE 1, 3,  0x40,0x85,0xc0,                 0x0d,0x00,0x1b
        ; IMUL r, r
        TEMPLATE 1, 4,  0x40,0x0f,0xaf,0xc0,            0x0d,0x00,0x00,0x1b
        ; CMP edi, less; JBE over what is in the first template: it does not jump
        TEMPLATE 3, 11, 0x81,0xff,0,0,0,0,0x76,3,0x40,0x01,0xc0, \
                        0,0,0xff,0xff,0x0f,0,0,0,0x0d,0x3a,0x1b
        ; CMP edi, less; JA over it: it jumps
        TEMPLATE 2, 11, 0x81,0xff,0,0,0,0,0x77,3,0x40,0x01,0xc0, \
                        0,0,0xff,0xff,0x0f,0,0,0,0x0d,0x3a,0x1b

        align   8
gdt:    dq      0
        dq      0x00af9b000000ffff              ; kernel, 64-bit code
        dq      0x00cf93000000ffff
        dq      0x00cffb000000ffff              ; user, 32-bit code: where STAR's selectors start
        dq      0x00cff3000000ffff
        dq      0x00affb000000ffff              ; user, 64-bit code
        dq      0x0000890000000067, 0           ; TSS; its base is filled in
gdtr:   dw      $ - gdt - 1
        dd      gdt, 0
idtr:   dw      256 * 16 - 1
        dq      idt
end:

        absolute end
        alignb  4096
pml4:   resb    4096
pdpt:   resb    4096
pd:     resb    4096
pt:     resb    4096
idt:    resb    4096
tss:    resb    104
        alignb  16
command_line:
        resq    1
kernel_stack:
        resq    1
        resb    4096
stack:  resb    4096
user_stack:
        resb    4096
interrupt_stack:
next_code:
        resq    1
seed:   resq    1
bss_end:
