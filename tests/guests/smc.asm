; tests/guests/smc.asm -- self-modifying code in its nasty forms.  Each store takes effect before
; the next instruction is executed, as on every processor that watches its prefetch queue by
; linear address; where the store goes through another linear address, a serializing instruction
; (or a jump, on older ones) stands between. [SDM 3A 8.1.3, 11.6 "Self-Modifying Code"]
%include "common.inc"
%include "paging.inc"

ALIAS   equ 0x300000            ; another linear address of CODE_AT's page
CODE_AT equ 0x50000             ; code that is written here runs here
NEXT_AT equ 0x51000

main:
        ; ---- the immediate of the very next instruction, in a hot loop ----
        mov     ecx, 20
        xor     ebx, ebx
.next:  mov     [.patch1 + 1], ecx
.patch1:
        mov     eax, 0x12345678
        add     ebx, eax
        loop    .next
        EQ      ebx, 210

        ; ---- an instruction some way ahead in the same block, and one behind ----
        mov     ecx, 20
        xor     ebx, ebx
.ahead: add     ebx, 0                  ; patched below, for the next round
.ahead_imm equ $ - 1
        nop
        nop
        mov     byte [.ahead2_imm], cl
        nop
        nop
        nop
        add     ebx, byte 0
.ahead2_imm equ $ - 1
        mov     byte [.ahead_imm], 1
        dec     ecx
        jnz     .ahead
        EQ      ebx, 210 + 19
        mov     byte [.ahead_imm], 0

        ; ---- opcodes change: INC EBX <-> DEC EBX <-> NOP ----
        mov     ecx, 30
        xor     ebx, ebx
        xor     edx, edx
.opcodes:
        mov     al, [.three + edx]
        mov     [.op], al
.op:    nop
        inc     edx
        cmp     edx, 3
        jb      .same
        xor     edx, edx
.same:  loop    .opcodes
        EQ      ebx, 10                 ; INC INC DEC each three rounds
        jmp     .opcodes_end
.three: db 0x43, 0x43, 0x4b
.opcodes_end:

        ; ---- an instruction that becomes longer: its tail was another one ----
        mov     ecx, 8
.longer:
        mov     dword [.long], 0x90909090
        mov     dword [.long + 4], 0x90909090
        xor     eax, eax
        mov     byte [.long], 0xb8      ; NOP x 5 -> MOV EAX, 0x90909090
.long:  times 8 nop
        EQ      eax, 0x90909090
        loop    .longer

        ; ---- a patched call target, and a patched jump ----
        mov     ecx, 16
        xor     ebx, ebx
.calls: mov     eax, .one
        test    cl, 1
        jz      .even
        mov     eax, .ten
.even:  sub     eax, .call_end
        mov     [.call_end - 4], eax
        call    .one
.call_end:
        loop    .calls
        EQ      ebx, 8 * 11
        jmp     .calls_end
.one:   inc     ebx
        ret
.ten:   add     ebx, 10
        ret
.calls_end:
        ; the target's code changes under a linked jump
        mov     ecx, 16
        xor     ebx, ebx
.linked:
        mov     [.target + 2], cl
        jmp     .target
        align   64
        times 64 nop
.target:
        add     ebx, byte 0
        loop    .linked
        EQ      ebx, 136

        ; ---- REP MOVSB, REP STOSD over code that runs next; over itself ----
        mov     edx, 8
        xor     ebx, ebx
.movs:  mov     esi, .source
        mov     edi, .dest
        mov     ecx, .source_end - .source
        rep     movsb
.dest:  times 16 nop
        mov     edi, .dest
        mov     ecx, 4
        mov     eax, 0x90909090
        rep     stosd
        dec     edx
        jnz     .movs
        EQ      ebx, 8 * 0x11
        jmp     .source_end
.source:
        add     ebx, byte 0x11
        nop
.source_end:
        ; A REP STOSB that overwrites itself.  The instruction that runs was fetched already: it
        ; goes on until an interrupt or a fault makes it fetch again [SDM 2B "REP"], or stops
        ; when the processor notices the store.  Both are seen on real processors, so this asks
        ; only that what follows is right: the bytes are NOP or still REP STOSB.
        mov     edx, 6
.self:  mov     word [.rep], 0xaaf3
        mov     edi, .rep
        mov     ecx, 8
        mov     al, 0x90
.rep:   rep     stosb
        times 8 nop
        mov     ecx, 8
        mov     edi, .rep
        rep     stosb
        dec     edx
        jnz     .self
        EQ      [.rep], 0x90909090

        ; ---- code written elsewhere and called; rewritten, called again ----
        mov     ecx, 1
.build: mov     edi, CODE_AT
        mov     byte [edi], 0xb8        ; MOV EAX, imm
        mov     [edi + 1], ecx
        mov     byte [edi + 5], 0xc3    ; RET
        call    edi
        EQ      eax, ecx
        call    edi
        EQ      eax, ecx
        inc     ecx
        cmp     ecx, 12
        jb      .build

        ; ---- code and data in one page, one line: many stores beside hot code ----
        mov     dword [CODE_AT], 0x43004d8b
        mov     byte [CODE_AT + 4], 0xc3        ; MOV ECX, [EBP]; INC EBX; RET
        mov     ebp, CODE_AT + 8
        mov     esi, 100
        xor     ebx, ebx
.beside:
        mov     [ebp], esi
        mov     eax, CODE_AT
        call    eax
        EQ      ecx, esi
        dec     esi
        jnz     .beside
        EQ      ebx, 100
        ; ---- code in a page that is also the stack ----
        mov     esi, esp
        mov     esp, CODE_AT + 0x20
        mov     edx, 50
        xor     ebx, ebx
.stack: mov     eax, CODE_AT
        push    edx                     ; 0x1c
        push    eax                     ; 0x18
        mov     ebp, esp
        call    eax                     ; return address at 0x14
        EQ      ecx, CODE_AT
        pop     eax
        pop     edx
        dec     edx
        jnz     .stack
        EQ      ebx, 50
        ; a PUSH and a CALL that write to the code they run into
        mov     edx, 8
.push:  mov     dword [CODE_AT + 0x40], 0x909037ff              ; PUSH [EDI]
        mov     dword [CODE_AT + 0x44], 0xc3909090
        mov     dword [CODE_AT + 0x48], .push_end - (CODE_AT + 0x4c)
        mov     byte [CODE_AT + 0x47], 0xe9     ; JMP .push_end
        mov     esp, CODE_AT + 0x47     ; PUSH writes 0x43..0x46
        mov     edi, .four_inc
        xor     ebx, ebx
        mov     eax, CODE_AT + 0x40
        jmp     eax
.four_inc: db 0x43, 0x43, 0x43, 0x43    ; INC EBX x 4
.push_end:
        EQ      ebx, 4
        dec     edx
        jnz     .push
        mov     esp, esi

        ; ---- across a page boundary: an instruction whose tail lies in the next page ----
        mov     edx, 12
.cross: mov     byte [NEXT_AT - 2], 0xb8        ; MOV EAX, imm32
        mov     byte [NEXT_AT - 1], dl
        mov     dword [NEXT_AT], 0xc3000000
        mov     eax, NEXT_AT - 2
        call    eax
        EQ      eax, edx
        mov     byte [NEXT_AT + 2], 1           ; the tail only
        mov     eax, NEXT_AT - 2
        call    eax
        mov     ecx, edx
        or      ecx, 0x1000000
        EQ      eax, ecx
        ; one store across the boundary changes code on both sides
        mov     dword [NEXT_AT - 2], 0x041122b8
        mov     eax, NEXT_AT - 2
        call    eax
        EQ      eax, 0x01041122
        dec     edx
        jnz     .cross
        ; a loop over the boundary; its second half is patched from the first
        mov     byte [NEXT_AT - 5], 0xa2        ; MOV [imm32], AL
        mov     dword [NEXT_AT - 4], NEXT_AT + 2
        mov     dword [NEXT_AT], 0xc300c383     ; ADD EBX, imm8; RET
        xor     ebx, ebx
        mov     eax, 20
.over:  mov     ecx, NEXT_AT - 5
        call    ecx
        dec     eax
        jnz     .over
        EQ      ebx, 210

        ; ---- code that a fault handler writes ----
        mov     edx, 6
.handler:
        mov     dword [ex_hook], patch_hook
        xor     ebx, ebx
        mov     word [.ud], 0x0b0f
.ud:    ud2
        nop
        mov     dword [ex_hook], 0
        EQ      ebx, 2
        dec     edx
        jnz     .handler

        ; ---- through another linear mapping of the same physical page ----
        call    paging_on
        mov     dword [PTE(ALIAS)], CODE_AT | P_P | P_W | P_U
        FLUSH
        mov     edx, 12
.alias: mov     byte [CODE_AT], 0xb8
        mov     [CODE_AT + 1], edx
        mov     byte [CODE_AT + 5], 0xc3
        mov     eax, CODE_AT
        call    eax
        EQ      eax, edx
        mov     eax, ALIAS
        call    eax
        EQ      eax, edx
        lea     ecx, [edx + 0x1000]
        mov     [ALIAS + 1], ecx
        push    edx
        xor     eax, eax
        cpuid                           ; serialize
        pop     edx
        lea     ecx, [edx + 0x1000]
        mov     eax, CODE_AT
        call    eax
        lea     ecx, [edx + 0x1000]
        EQ      eax, ecx
        mov     eax, ALIAS
        call    eax
        EQ      eax, ecx
        dec     edx
        jnz     .alias

        ; ---- the page under the code is exchanged ----
        mov     byte [CODE_AT], 0xb8
        mov     dword [CODE_AT + 1], 1
        mov     byte [CODE_AT + 5], 0xc3
        mov     byte [NEXT_AT], 0xb8
        mov     dword [NEXT_AT + 1], 2
        mov     byte [NEXT_AT + 5], 0xc3
        mov     ebp, 10
.swap:  MAP     ALIAS, CODE_AT | P_P | P_W | P_U
        mov     eax, ALIAS
        call    eax
        EQ      eax, 1
        call    alias_caller
        EQ      eax, 1
        MAP     ALIAS, NEXT_AT | P_P | P_W | P_U
        mov     eax, ALIAS
        call    eax
        EQ      eax, 2
        call    alias_caller
        EQ      eax, 2
        ; and by a load of CR3
        mov     dword [PTE(ALIAS)], CODE_AT | P_P | P_W | P_U
        FLUSH
        call    alias_caller
        EQ      eax, 1
        mov     dword [PTE(ALIAS)], NEXT_AT | P_P | P_W | P_U
        FLUSH
        call    alias_caller
        EQ      eax, 2
        dec     ebp
        jnz     .swap
        ; the tail of a page-crossing instruction is on a page that is exchanged: code at
        ; ALIAS + 0xffe, tail at ALIAS + 0x1000
        mov     word [CODE_AT + 0xffe], 0x55b8
        mov     dword [0x52000], 0xc3000001
        mov     dword [0x53000], 0xc3000002
        MAP     ALIAS, CODE_AT | P_P | P_W | P_U
        mov     ebp, 10
.swap_tail:
        MAP     ALIAS + 0x1000, 0x52000 | P_P | P_W | P_U
        mov     eax, ALIAS + 0xffe
        call    eax
        EQ      eax, 0x155
        MAP     ALIAS + 0x1000, 0x53000 | P_P | P_W | P_U
        mov     eax, ALIAS + 0xffe
        call    eax
        EQ      eax, 0x255
        dec     ebp
        jnz     .swap_tail
        ; ---- code at a page that may be read only: a store to it faults and changes nothing
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
        MAP     CODE_AT, CODE_AT | P_P | P_U
        PAGE_FAULTS PF_P | PF_W, CODE_AT + 1, mov dword [CODE_AT + 1], 77
        mov     eax, CODE_AT
        call    eax
        EQ      eax, 1
        MAP     CODE_AT, CODE_AT | P_P | P_W | P_U
        call    paging_off
        ret

alias_caller:
        call    ALIAS
        ret

; UD2 at the fault becomes INC EBX; INC EBX.
patch_hook:
        mov     eax, [ebp + FR_EIP]
        mov     word [eax], 0x4343
        ret
