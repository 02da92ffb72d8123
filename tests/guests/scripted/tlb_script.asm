; tests/guests/scripted/tlb_script.asm -- what fuzz_tlb.c lets run: a loop in long mode at CPL 0 that
; does what a list of records says, so that all of it happens in one stretch of translated code.
;
; Record: operation, a, b, c, result; 8 bytes each.  A page fault makes the result its error code
; with bit 63 set, c its address, and goes on with the next record.
bits 64
default abs
org 0x10000

RECORD  equ 40
A_      equ 8
B_      equ 16
C_      equ 24
RESULT  equ 32
STACK   equ 0x1f000
USER    equ 0x10000000000       ; where level 3 sees this page, see fuzz_tlb.c
USER_CS equ 0x2b
USER_SS equ 0x23

entry:  mov     ebx, 0x20000
        mov     esp, STACK
        jmp     run
        align   16
page_fault:                     ; 0x10010
        pop     rax
        bts     rax, 63
        mov     rcx, cr2
        mov     [rbx + C_], rcx
        mov     esp, STACK
        jmp     done
        align   64
from_user:                      ; 0x10040
        mov     esp, STACK
done:   mov     [rbx + RESULT], rax
        add     rbx, RECORD
run:    mov     rax, [rbx]
        mov     rdi, [rbx + A_]
        mov     rdx, [rbx + B_]
        jmp     [table + rax * 8]

op_end: hlt
        jmp     op_end
op_store:
        mov     [rdi], rdx
        jmp     done
op_load:
        mov     rax, [rdi]
        jmp     done
op_cr3: mov     cr3, rdi
        jmp     done
op_invlpg:
        invlpg  [rdi]
        jmp     done
op_invpcid:
        lea     rcx, [rbx + B_]
        invpcid rdi, [rcx]
        jmp     done
op_cr4: mov     cr4, rdi
        jmp     done
op_cr0: mov     cr0, rdi
        jmp     done
op_read:
        mov     eax, [rdi]
        jmp     done
op_write:
        mov     [rdi], edx
        mov     eax, edx
        jmp     done
op_add: add     [rdi], edx
        mov     eax, edx
        jmp     done
op_execute:
        call    rdi
        jmp     done
op_user_read:
        mov     rcx, USER + (user_read - entry)
        jmp     to_user
op_user_write:
        mov     rcx, USER + (user_write - entry)
        jmp     to_user
op_user_execute:
        mov     rcx, USER + (user_execute - entry)
to_user:
        push    USER_SS
        mov     r8, USER + 0x1f00
        push    r8
        push    2
        push    USER_CS
        push    rcx
        iretq

user_read:
        mov     eax, [rdi]
        int     0x80
user_write:
        mov     [rdi], edx
        mov     eax, edx
        int     0x80
user_execute:
        call    rdi
        int     0x80

        align   8
table:  dq      op_end, op_store, op_load, op_cr3, op_invlpg, op_invpcid, op_cr4, op_cr0
        dq      op_read, op_write, op_add, op_execute, op_user_read, op_user_write, op_user_execute
