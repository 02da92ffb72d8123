; tests/guests/lock.asm -- LOCK where it is allowed and where it is #UD, prefixes that are ignored,
; forms that are undefined. [SDM 2A "LOCK"]
%include "common.inc"

%macro ALLOWED 1+
        mov     dword [ex_count], 0
        %1
        EQ      [ex_count], 0
%endmacro
%macro REFUSED 1-*              ; the bytes behind F0
        FAULTS  UD, 0, {db 0xf0, %{1:-1}}
%endmacro

main:   mov     ebx, DATA
        mov     dword [ebx], 0
        mov     dword [ebx + 4], 0
        mov     eax, 1
        mov     ecx, 0
        mov     edx, 0
        mov     esi, 4
.round: ALLOWED lock add [ebx], eax
        ALLOWED lock or dword [ebx], 2
        ALLOWED lock adc byte [ebx], 3
        ALLOWED lock sbb [ebx], cx
        ALLOWED lock and dword [ebx], -1
        ALLOWED lock sub dword [ebx], 1
        ALLOWED lock xor [ebx], ecx
        ALLOWED lock inc dword [ebx]
        ALLOWED lock dec byte [ebx]
        ALLOWED lock not dword [ebx]
        ALLOWED lock neg dword [ebx]
        ALLOWED lock xchg [ebx], ecx
        ALLOWED lock bts dword [ebx], 3
        ALLOWED lock btr [ebx], esi
        ALLOWED lock btc dword [ebx], 1
        ALLOWED lock xadd [ebx], ecx
        ALLOWED lock cmpxchg [ebx], ecx
        ALLOWED lock cmpxchg8b [ebx]
        ; a register destination
        REFUSED 0x01, 0xc0              ; ADD EAX, EAX
        REFUSED 0x03, 0x03              ; ADD EAX, [EBX]
        REFUSED 0x83, 0xc0, 0x01
        REFUSED 0x40                    ; INC EAX
        REFUSED 0xff, 0xc0
        REFUSED 0x87, 0xc0              ; XCHG EAX, EAX
        REFUSED 0x0f, 0xc1, 0xc0
        REFUSED 0x0f, 0xb1, 0xc0
        REFUSED 0x0f, 0xab, 0xc0
        REFUSED 0x90
        ; not lockable at all
        REFUSED 0x39, 0x03              ; CMP
        REFUSED 0x83, 0x3b, 0x01
        REFUSED 0x85, 0x03              ; TEST
        REFUSED 0x89, 0x03              ; MOV
        REFUSED 0xc7, 0x03, 0, 0, 0, 0
        REFUSED 0x0f, 0xa3, 0x03        ; BT
        REFUSED 0x0f, 0xba, 0x23, 0x01
        REFUSED 0xd1, 0x23              ; SHL
        REFUSED 0xf7, 0x23              ; MUL
        REFUSED 0xff, 0x33              ; PUSH
        REFUSED 0x8f, 0x03              ; POP
        REFUSED 0xff, 0x13              ; CALL
        REFUSED 0xa4                    ; MOVSB
        REFUSED 0xf3, 0xa4              ; REP MOVSB
        REFUSED 0xf4                    ; HLT
        REFUSED 0xfa                    ; CLI
        REFUSED 0x8d, 0x03              ; LEA
        REFUSED 0x0f, 0xa2              ; CPUID
        REFUSED 0x0f, 0x94, 0x03        ; SETZ
        REFUSED 0xd9, 0x03              ; FLD
        REFUSED 0x0f, 0x58, 0x03        ; ADDPS
        REFUSED 0x66, 0x39, 0x03
        ; the prefix may stand anywhere before the opcode, more than once
        ALLOWED {db 0x66, 0xf0, 0x01, 0x03}
        ALLOWED {db 0xf0, 0x66, 0xf0, 0x3e, 0x01, 0x03}
        FAULTS  UD, 0, {db 0x66, 0xf0, 0x39, 0x03}
        ; a page fault or a limit is not looked at: #UD first
        dec     esi
        jnz     .round
        ; REP, segment prefixes and operand sizes in front of what does not use them: ignored
        mov     eax, 5
        db      0xf3
        add     eax, eax
        db      0x2e, 0x36, 0x26, 0x64
        inc     eax
        EQ      eax, 11
        db      0xf2
        inc     eax
        EQ      eax, 12
        ; CMPXCHG8B with a register, unknown /r: #UD
        FAULTS  UD, 0, {db 0x0f, 0xc7, 0xc8}
        FAULTS  UD, 0, {db 0x0f, 0xc7, 0x03}
        FAULTS  UD, 0, {db 0x8f, 0xc8}          ; POP /1
        FAULTS  UD, 0, {db 0xc6, 0x0b, 0}       ; MOV /1
        FAULTS  UD, 0, {db 0x0f, 0xba, 0x03, 0} ; group 8 /0
        FAULTS  UD, 0, {db 0x0f, 0x01, 0x2b}    ; group 7 /5 without CET
        FAULTS  UD, 0, {db 0x0f, 0x04}
        FAULTS  UD, 0, {db 0x0f, 0x24, 0xc0}    ; MOV EAX, TR0
        ret
