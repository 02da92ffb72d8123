; tests/guests/long_modes.asm -- one piece of hot code at one address under modes that change around
; it: 64-bit, 32-bit and 16-bit, CPL 0 and 3, other bases of FS, CR0.TS, CR4.UMIP, SMAP; and addresses
; above 4 GiB that share low bits with others.
%include "long.inc"

C16     equ FREE64              ; 16-bit code, level 0
HIGH    equ 0x8000000000        ; the first GiB again

; As 64-bit code ADD RAX, RCX; as other code DEC EAX (DEC AX), ADD EAX, ECX (ADD AX, CX)
%macro BODY 0
        db      0x48, 0x01, 0xc8
%endmacro

main64:
        SET_DESC C16, 0, 0xffff, A_CODE, 0
        SET_ENTRY PML4 + 8, PDPT | P_ALL, 0
        mov     r12d, 60
.loop:  ; the same address in three sizes of code
        mov     rax, 0xffffffff
        mov     rcx, 0x100000001
        call    routine
        EQ64    rax, 0x200000000
        COMPAT
        mov     eax, 10
        mov     ecx, 5
        call    routine
        EQ      eax, 14
        LONG
        mov     eax, 0x10000
        mov     ecx, 3
        jmp     far dword [.to_16]
bits 16
.code16:
        mov     bx, LINEAR(routine) & 0xffff    ; below 64 KiB
        call    bx
        o32 jmp CODE64:dword LINEAR(.from_16)
bits 64
align 4
.to_16: dd      LINEAR(.code16), C16
.from_16:
        EQ64    rax, 0x10002                    ; 16 bits each: 0xffff + 3, the carry stays out
        ; both levels
        USER
        mov     rax, 1
        mov     rcx, 0x7ffffffffffffff0
        call    routine
        EQ64    rax, 0x7ffffffffffffff1
        SUPERVISOR
        USER_COMPAT
        mov     eax, 1
        mov     ecx, 1
        call    routine
        EQ      eax, 1
        SUPERVISOR
        ; through another address
        mov     rax, 5
        mov     rcx, 6
        mov     rbx, HIGH + LINEAR(routine)
        call    rbx
        EQ64    rax, 11
        ; privileged instructions in code that both levels run
        call    privileged
        USER
        mov     qword [lx_resume], .no
        mov     qword [lx_count], 0
        mov     rbx, rsp
        call    privileged
        FAIL
.no:    mov     rsp, rbx
        EQ64    [lx_vector], GP
        EQ64    [lx_rip], LINEAR(privileged)
        SUPERVISOR
        ; FS's base, by descriptor, MSR and instruction
        mov     dword [DATA], 1
        mov     dword [DATA + 0x1000], 2
        CR_SET  cr4, CR4_FSGSBASE
        mov     eax, DATA
        wrfsbase rax
        call    based
        EQ      eax, 1
        mov     rax, HIGH + DATA + 0x1000
        wrfsbase rax
        call    based
        EQ      eax, 2
        WRITE_MSR FS_BASE, DATA
        call    based
        EQ      eax, 1
        xor     eax, eax
        wrfsbase rax
        CR_CLEAR cr4, CR4_FSGSBASE
        ; what a control register forbids
        CR_SET  cr4, CR4_OSFXSR
        call    simd
        CR_SET  cr0, CR0_TS
        mov     qword [lx_resume], .no_simd
        mov     rbx, rsp
        call    simd
        FAIL
.no_simd:
        mov     rsp, rbx
        EQ64    [lx_vector], NM
        clts
        call    simd
        CR_CLEAR cr4, CR4_OSFXSR
        mov     qword [lx_resume], .no_simd2
        call    simd
        FAIL
.no_simd2:
        mov     rsp, rbx
        EQ64    [lx_vector], UD
        dec     r12d
        jnz     .loop
        SET_ENTRY PML4 + 8, 0, 0
        ret

align 16
routine:
        BODY
        ret
privileged:
        mov     rax, cr0
        ret
based:  mov     eax, [fs:0]
        ret
simd:   movaps  xmm0, xmm1
        ret
