; tests/guests/long_code.asm -- 64-bit code: self-modifying, through aliases, across pages; operands
; relative to RIP that fault; CMPXCHG16B; the length limit; LOCK; prefixes that change or are ignored.
; [SDM 3A 8.1.3 "Self- and Cross-Modifying Code"], [SDM 2A 2.2.1 "REX Prefixes", 2.3.11, "LOCK",
; "CMPXCHG8B/CMPXCHG16B"], [SDM 1 3.5.1]
%include "long.inc"

HIGH    equ 0xffff800000000000  ; the first GiB once more
CODE_A  equ 0x220000
CODE_B  equ 0x221000
%define ALIAS(address) (HIGH + (address))

main64:
        SET_ENTRY PML4 + 256 * 8, PDPT | P_ALL, 0
        mov     r13d, 4
.loop:  call    rewriting
        call    crossing
        call    relative
        call    compare16
        call    lengths
        call    locks
        call    prefixes
        dec     r13d
        jnz     .loop
        SET_ENTRY PML4 + 256 * 8, 0, 0
        ret

; ---- self-modifying code ----
rewriting:
        ; the next instruction
        xor     ebx, ebx
        mov     r12d, 20
.next:  mov     [.imm + 3], r12b
.imm:   add     rbx, byte 0
        dec     r12d
        jnz     .next
        EQ64    rbx, 210
        ; through another linear address, and RIP-relative
        xor     ebx, ebx
        mov     r12d, 20
        mov     rdi, ALIAS(LINEAR(.imm2) + 2)
.alias: mov     [rdi], r12d
.imm2:  add     ebx, dword 0x1000
        dec     r12d
        jnz     .alias
        EQ64    rbx, 210
        xor     ebx, ebx
        mov     r12d, 20
.rel:   mov     [rel .imm3 + 3], r12b
.imm3:  add     rbx, byte 0
        dec     r12d
        jnz     .rel
        EQ64    rbx, 210
        ; a routine that is hot, rewritten from outside; run through both addresses
        mov     r12d, 200
        mov     rdi, CODE_A
        mov     dword [rdi], 0x90c0ff48         ; INC RAX; NOP
        mov     byte [rdi + 4], 0xc3
        xor     eax, eax
        mov     rsi, ALIAS(CODE_A)
.hot:   call    rdi
        call    rsi
        dec     r12d
        jnz     .hot
        EQ64    rax, 400
        mov     byte [rdi + 2], 0xc8            ; DEC RAX
        mov     r12d, 100
.hot2:  call    rsi
        call    rdi
        dec     r12d
        jnz     .hot2
        EQ64    rax, 200
        mov     byte [rsi], 0x90                ; NOP; DEC EAX
        call    rdi
        EQ64    rax, 199
        ; by strings, by a wide store over code and data, by a store that crosses into the page
        mov     rdi, CODE_A
        mov     esi, .code_five
        mov     ecx, 6
        rep     movsb
        mov     rdi, CODE_A
        call    rdi
        EQ64    rax, 5
        mov     qword [CODE_A], 0
        mov     rax, 0x00c300000006b8
        mov     [CODE_A], rax
        call    rdi
        EQ64    rax, 6
        mov     rdi, CODE_B
        mov     rax, 0xc300000007b8
        mov     [rdi], rax
        call    rdi
        EQ64    rax, 7
        mov     rax, 0x08b8000000000000
        mov     [rdi - 6], rax                  ; B8 08 at CODE_B
        call    rdi
        EQ64    rax, 8
        ; the pages exchanged under hot code
        mov     rax, 0xc300000009b8
        mov     [CODE_A], rax
        mov     rdi, CODE_A
        mov     r12d, 20
.pages: MAP64   CODE_A, CODE_A | P_ALL, 0
        call    rdi
        EQ64    rax, 9
        MAP64   CODE_A, CODE_B | P_ALL, 0
        call    rdi
        EQ64    rax, 8
        dec     r12d
        jnz     .pages
        MAP64   CODE_A, CODE_A | P_ALL, 0
        ret
.code_five:
        mov     eax, 5
        ret

; ---- an instruction on two pages ----
crossing:
        mov     rdi, CODE_B - 5
        mov     r12d, 10
.hot:   mov     byte [rdi], 0x48
        mov     byte [rdi + 1], 0xb8            ; MOV RAX, imm64
        mov     dword [rdi + 2], 0x44332211
        mov     dword [rdi + 6], 0x88776655
        mov     byte [rdi + 10], 0xc3
        call    rdi
        EQ64    rax, 0x8877665544332211
        mov     byte [CODE_B], 0x99             ; its second page is rewritten
        call    rdi
        EQ64    rax, 0x8877665599332211
        MAP64   CODE_B, 0, 0
        mov     dword [lx_resume], .gone
        mov     dword [lx_count], 0
        jmp     rdi
.gone:  EQ      [lx_count], 1
        EQ64    [lx_rip], CODE_B - 5
        EQ64    [lx_cr2], CODE_B
        EQ      [lx_error], PF_I
        MAP64   CODE_B, CODE_B | P_ALL, 0
        call    rdi
        dec     r12d
        jnz     .hot
        ret

; ---- RIP-relative operands: from the end of the instruction, immediates included; they fault ----
relative:
        mov     rax, CODE_A
        ; at CODE_A: ADD DWORD [RIP + (CODE_B - end)], imm32; RET
        mov     word [rax], 0x0581
        mov     dword [rax + 2], CODE_B - (CODE_A + 10)
        mov     dword [rax + 6], 0x01010101
        mov     byte [rax + 10], 0xc3
        mov     dword [CODE_B], 0x10
        mov     r12d, 30
        mov     rsi, ALIAS(CODE_A)
.hot:   call    rax
        call    rsi
        dec     r12d
        jnz     .hot
        EQ      [CODE_B], (0x10 + 60 * 0x01010101) & 0xffffffff
        MAP64   CODE_B, 0, 0
        mov     r9, ALIAS(CODE_B)
        invlpg  [r9]
        mov     rcx, rsp
        mov     dword [lx_resume], .fault
        mov     dword [lx_count], 0
        call    rsi
        FAIL
.fault: EQ      [lx_count], 1
        EQ64    [lx_rip], ALIAS(CODE_A)
        EQ64    [lx_cr2], ALIAS(CODE_B)
        EQ      [lx_error], PF_W
        mov     rsp, rcx
        MAP64   CODE_B, CODE_B | P_P, 0
        mov     dword [lx_resume], .fault2
        mov     dword [lx_count], 0
        call    rax
        FAIL
.fault2:
        EQ64    [lx_rip], CODE_A
        EQ64    [lx_cr2], CODE_B
        EQ      [lx_error], PF_P | PF_W
        mov     rsp, rcx
        MAP64   CODE_B, CODE_B | P_ALL, 0
        ; with an address size of 32 bits: the lower half of RIP + disp32
        lea     rbx, [rel .here]
        a32 lea rcx, [rel .here]
.here:  EQ64    rbx, rcx
        ; LEA of a wrap: 64 bits
        mov     dword [CODE_A], 0x058d48        ; LEA RAX, [RIP + disp32]
        mov     dword [CODE_A + 3], 0x80000000
        mov     byte [CODE_A + 7], 0xc3
        mov     rdi, CODE_A
        call    rdi
        EQ64    rax, CODE_A + 7 - 0x80000000
        ret

; ---- CMPXCHG16B ----
compare16:
        mov     r12d, 6
.hot:   mov     edi, DATA + 0x40
        mov     qword [rdi], 0x1111
        mov     qword [rdi + 8], 0x2222
        mov     eax, 0x1111
        mov     edx, 0x2222
        mov     rbx, 0x3333333333333333
        mov     rcx, 0x4444444444444444
        lock cmpxchg16b [rdi]
        jnz     .bad
        EQ64    [rdi], rbx
        EQ64    [rdi + 8], rcx
        cmpxchg16b [rdi]
        jz      .bad
        EQ64    rax, rbx
        EQ64    rdx, rcx
        cmpxchg16b [rdi]
        jnz     .bad
        stc
        FAULTS  GP, 0, cmpxchg16b [rdi + 8]     ; misaligned
        FAULTS  GP, 0, lock cmpxchg16b [rdi + 1]
        EQ64    rax, rbx
        MAP64   CODE_B, 0, 0
        mov     esi, CODE_B
        PAGE_FAULTS PF_W, CODE_B, cmpxchg16b [rsi]
        MAP64   CODE_B, CODE_B | P_P | P_U, 0
        PAGE_FAULTS PF_P | PF_W, CODE_B, lock cmpxchg16b [rsi]
        PAGE_FAULTS PF_P | PF_W, CODE_B, cmpxchg8b [rsi]
        MAP64   CODE_B, CODE_B | P_ALL, 0
        FAULTS  UD, 0, db 0x48, 0x0f, 0xc7, 0xc8        ; a register
        dec     r12d
        jnz     .hot
        ret
.bad:   FAIL

; ---- 15 bytes ----
lengths:
        mov     r12d, 6
.hot:   times 14 db 0x66
        nop                                     ; 15
        FAULTS  GP, 0, times 15 db 0x66         ; and the next byte
        db      0x66, 0x66, 0x66, 0x66, 0x2e, 0x2e
        db      0x48, 0xc7, 0xc0, 0x78, 0x56, 0x34, 0x12        ; 13
        EQ64    rax, 0x12345678
        db      0x2e, 0x2e, 0x2e, 0x2e, 0x2e
        mov     rax, 0x1122334455667788         ; 15
        EQ64    rax, 0x1122334455667788
        FAULTS  GP, 0, db 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11
        ; at the end of a page the limit counts before the next page is asked for
        MAP64   CODE_B, 0, 0
        mov     rdi, CODE_B - 15
        mov     rax, 0x6666666666666666
        mov     [rdi], rax
        mov     [rdi + 7], rax
        TARGET_FAULTS GP, 0, CODE_B - 15, jmp rdi
        mov     word [CODE_B - 2], 0xc390
        mov     rdi, CODE_B - 2
        call    rdi                             ; nothing beyond is needed
        MAP64   CODE_B, CODE_B | P_ALL, 0
        dec     r12d
        jnz     .hot
        ret

; ---- LOCK ----
locks:  mov     edi, DATA
        mov     r12d, 4
.hot:   mov     eax, 1
        mov     ecx, 1
        lock add [rdi], rax
        lock inc qword [rdi]
        lock bts qword [rdi], 3
        lock xadd [rdi], r9
        lock xchg [rdi], r9
        lock cmpxchg [rdi], r9
        lock neg qword [rdi]
        lock not byte [rdi]
        lock sbb [rdi], r8
        FAULTS  UD, 0, db 0xf0, 0x01, 0xc0              ; ADD EAX, EAX
        FAULTS  UD, 0, db 0xf0, 0x48, 0x03, 0x07        ; ADD RAX, [RDI]
        FAULTS  UD, 0, db 0xf0, 0x48, 0x39, 0x07        ; CMP
        FAULTS  UD, 0, db 0xf0, 0x48, 0x85, 0x07        ; TEST
        FAULTS  UD, 0, db 0xf0, 0x48, 0x89, 0x07        ; MOV
        FAULTS  UD, 0, db 0xf0, 0x48, 0x0f, 0xa3, 0x07  ; BT
        FAULTS  UD, 0, db 0xf0, 0x48, 0xd1, 0x27        ; SHL
        FAULTS  UD, 0, db 0xf0, 0x48, 0x8d, 0x07        ; LEA
        FAULTS  UD, 0, db 0xf0, 0x90                    ; NOP
        FAULTS  UD, 0, db 0xf0, 0x48, 0x63, 0x07        ; MOVSXD
        FAULTS  UD, 0, db 0xf0, 0x0f, 0xa2              ; CPUID
        FAULTS  UD, 0, db 0xf0, 0xff, 0x37              ; PUSH
        FAULTS  UD, 0, db 0xf0, 0x48, 0xa5              ; MOVSQ
        FAULTS  UD, 0, db 0xf0, 0x0f, 0x01, 0xf8        ; SWAPGS
        FAULTS  UD, 0, db 0xf0, 0x48, 0xcf              ; IRETQ
        FAULTS  UD, 0, db 0xf0, 0x48, 0x0f, 0xc7, 0xf0  ; RDRAND
        FAULTS  UD, 0, db 0xf0, 0x48, 0x0f, 0xbc, 0x07  ; BSF
        dec     r12d
        jnz     .hot
        ret

; ---- prefixes ----
prefixes:
        mov     r12d, 6
        mov     r15, rsp
        ; a REX that is not last does not count
.hot:   mov     rax, -1
        db      0x48, 0x66, 0xff, 0xc0          ; REX.W 66 INC AX
        EQ64    rax, 0xffffffffffff0000
        db      0x48, 0x2e, 0x05, 1, 0, 0, 0    ; REX.W CS ADD EAX, 1
        EQ64    rax, 0xffff0001
        db      0x66, 0x48, 0xff, 0xc0          ; 66 REX.W: W wins
        EQ64    rax, 0xffff0002
        ; byte registers
        mov     rax, 0x1122334455667788
        mov     rsi, 0x10
        mov     ah, 0x99
        mov     sil, al
        EQ64    rsi, 0x88
        EQ64    rax, 0x1122334455669988
        ; 32-bit results clear the upper half, even where nothing changes
        mov     rcx, -1
        mov     ecx, ecx
        EQ64    rcx, 0xffffffff
        mov     rcx, -1
        xor     edx, edx
        shl     ecx, 0
        mov     rcx, -1
        test    edx, edx
        cmovnz  ecx, edx                        ; not moved, cleared all the same
        EQ64    rcx, 0xffffffff
        mov     rax, -1
        mov     rcx, -1
        xchg    eax, ecx
        EQ64    rax, 0xffffffff
        mov     rax, -1
        db      0x90                            ; NOP is no XCHG EAX, EAX
        EQ64    rax, -1
        mov     r8, -1
        db      0x41, 0x90                      ; XCHG EAX, R8D
        EQ64    r8, 0xffffffff
        ; address size 32: the upper halves of base and index do not count, the sum is cut
        mov     dword [DATA], 0x5678
        mov     rbx, 0xffffffff00000000 | DATA
        a32 mov eax, [ebx]
        EQ      eax, 0x5678
        mov     rbx, 0x00000001fffffff0
        mov     rcx, 0x1200000000 | (DATA + 0x10)
        mov     eax, [ebx + ecx]
        EQ      eax, 0x5678
        lea     rax, [ebx + ecx]
        EQ64    rax, DATA
        mov     rcx, 0x100000000
        jecxz   .ecx
        FAIL
.ecx:   mov     rcx, 0x100000003
        xor     edx, edx
.count: inc     edx
        a32 loop .count
        EQ64    rcx, 0
        EQ      edx, 3
        mov     rcx, 0x500000000
        mov     rdi, 0x900000000 | DATA
        a32 rep stosb                           ; ECX is 0: nothing happens
        mov     rcx, 0x500000002
        mov     al, 0x44
        a32 rep stosb
        EQ64    rcx, 0
        EQ64    rdi, DATA + 2
        EQ      [DATA], 0x4444
        ; stack operands have 64 bits; 66 makes 16; there is no 32
        push    -1
        pop     rax
        EQ64    rax, -1
        push    word 5
        mov     rax, r15
        sub     rax, 2
        EQ64    rsp, rax
        pop     ax
        EQ64    rsp, r15
        db      0x40 | 8, 0x68                  ; REX.W PUSH imm32
        dd      0x80000000
        pop     rax
        EQ64    rax, 0xffffffff80000000
        enter   16, 1
        leave
        EQ64    rsp, r15
        ; near branches: 66 is ignored (Intel), RIP stays whole
        db      0x66, 0xe8                      ; CALL rel32
        dd      .sub - .back
.back:  EQ64    rsp, r15
        db      0x66, 0xeb, .target - $ - 3     ; JMP rel8
        FAIL
.target:
        mov     rax, ALIAS(LINEAR(.high))
        jmp     rax
.high:  lea     rax, [rel .high]
        EQ64    rax, ALIAS(LINEAR(.high))
        db      0x66, 0x90
        lea     rax, [.low]
        jmp     rax
.low:   lea     rax, [rel .low]
        EQ64    rax, LINEAR(.low)
        dec     r12d
        jnz     .hot
        ret
.sub:   ret
