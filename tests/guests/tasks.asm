; tests/guests/tasks.asm -- hardware task switches by JMP, CALL, IRET, INT and exceptions through
; task gates; 32- and 16-bit TSS; busy bits, NT, back links, TS, the T flag; faults on the way.
; [SDM 3A 7.3 "Task Switching", table 7-1, table 7-2]
%include "common.inc"

OTHER   equ FREE                ; 32-bit TSS at TSS_B
OTHER16 equ FREE + 8            ; 16-bit TSS at TSS_16
TGATE   equ FREE + 0x10         ; task gate to OTHER
BUSYSEL equ FREE + 0x18
NOTHERE equ FREE + 0x20
TINY    equ FREE + 0x28
TGATE3  equ FREE + 0x30         ; DPL 3
LDT_SEL equ FREE + 0x38
TSS_B   equ DATA
TSS_16  equ DATA + 0x100
STACK_B equ DATA + 0x3000
STACK_16 equ DATA + 0x4000
LDT_AT  equ DATA + 0x5000

LINK equ 0
EIP_ equ 0x20
EFLAGS_ equ 0x24
EAX_ equ 0x28
ECX_ equ 0x2c
EDX_ equ 0x30
EBX_ equ 0x34
ESP_ equ 0x38
EBP_ equ 0x3c
ESI_ equ 0x40
EDI_ equ 0x44
ES_ equ 0x48
CS_ equ 0x4c
SS__ equ 0x50
DS_ equ 0x54
FS_ equ 0x58
GS_ equ 0x5c
LDT_ equ 0x60
T_ equ 0x64

seen    equ vars

; A fresh 32-bit TSS at TSS_B that starts at %1
%macro NEW_TASK 1
        mov     ebx, %1
        call    new_task
%endmacro

; The busy bit of a descriptor
%macro BUSY 2
        BITS_EQ [GDT + %1 + 4], 0x200, (%2) << 9
%endmacro

main:
        SET_DESC BUSYSEL, TSS_B, 0x67, A_TSS32 | 2, 0
        SET_DESC NOTHERE, TSS_B, 0x67, A_TSS32 & ~0x80, 0
        SET_DESC TINY, TSS_B, 0x66, A_TSS32, 0
        SET_DESC LDT_SEL, LDT_AT, 0xff, A_LDT, 0
        mov     dword [GDT + TGATE], OTHER << 16
        mov     dword [GDT + TGATE + 4], A_TASK << 8
        mov     dword [GDT + TGATE3], OTHER << 16
        mov     dword [GDT + TGATE3 + 4], (A_TASK | DPL3) << 8
        BUSY    TSS_SEL, 1

        ; ---- JMP there and back: what is saved, what is loaded ----
        NEW_TASK task_jump
        mov     eax, 0xa0a0a0a0
        mov     ecx, 0xc0c0c0c0
        mov     edx, 0xd0d0d0d0
        mov     ebp, 0xb0b0b0b0
        mov     esi, 0x51515151
        mov     edi, 0xd1d1d1d1
        mov     ebx, USER_DATA
        mov     gs, bx
        clts
        stc
        jmp     OTHER:0x12345678                ; the offset is not used
.back:  ; task_jump has looked at our TSS; here we are with everything as it was
        EQ      eax, 0xa0a0a0a0
        EQ      ecx, 0xc0c0c0c0
        EQ      edx, 0xd0d0d0d0
        EQ      ebx, USER_DATA
        EQ      ebp, 0xb0b0b0b0
        EQ      esi, 0x51515151
        EQ      edi, 0xd1d1d1d1
        mov     ax, gs
        movzx   eax, ax
        EQ      eax, USER_DATA
        EQ      [TSS + EIP_], .back
        EQ      [TSS + ESP_], esp
        BITS_EQ [TSS + EFLAGS_], F_CF | F_NT | 2, F_CF | 2
        BITS_EQ [TSS + CS_], 0xffff, CODE32
        BITS_EQ [TSS + SS__], 0xffff, DATA32
        BITS_EQ [TSS + GS_], 0xffff, USER_DATA
        BUSY    TSS_SEL, 1
        BUSY    OTHER, 0
        EQ      [seen], 1
        str     ax
        movzx   eax, ax
        EQ      eax, TSS_SEL
        mov     eax, cr0
        BITS_EQ eax, CR0_TS, CR0_TS             ; every switch sets it
        clts

        ; ---- CALL: nested, both busy, link and NT; IRET comes back ----
        NEW_TASK task_call
        mov     dword [TSS + LINK], 0x5555
        call    OTHER:0
        EQ      [seen], 2
        BUSY    TSS_SEL, 1
        BUSY    OTHER, 0
        BITS_EQ [TSS_B + LINK], 0xffff, TSS_SEL
        BITS_EQ [TSS_B + EFLAGS_], F_NT, 0      ; IRET clears it in the saved image
        EQ      [TSS_B + EIP_], task_call.again
        pushfd
        pop     eax
        BITS_EQ eax, F_NT, 0
        ; again: it resumes behind its IRET
        call    OTHER:0
        EQ      [seen], 3
        ; a busy task cannot be entered
        FAULTS  GP, TSS_SEL, call TSS_SEL:0
        FAULTS  GP, TSS_SEL, jmp TSS_SEL:0
        FAULTS  GP, BUSYSEL, call BUSYSEL:0
        FAULTS  NP, NOTHERE, jmp NOTHERE:0
        FAULTS  TS, TINY, jmp TINY:0
        EQ      [ex_cs], CODE32
        BUSY    TSS_SEL, 1
        BUSY    TINY, 0
        ; privilege: the TSS has DPL 0
        USER
        FAULTS  GP, OTHER, call OTHER:0
        FAULTS  GP, TGATE, call TGATE:0
        SUPERVISOR
        FAULTS  GP, OTHER, call OTHER | 3:0     ; RPL 3 > DPL 0

        ; ---- task gates ----
        NEW_TASK task_call
        call    TGATE:0
        EQ      [seen], 2
        mov     dword [GDT + TGATE + 4], (A_TASK & ~0x80) << 8
        FAULTS  NP, TGATE, call TGATE:0
        mov     dword [GDT + TGATE + 4], A_TASK << 8
        mov     dword [GDT + TGATE], DATA32 << 16
        FAULTS  GP, DATA32, call TGATE:0
        mov     dword [GDT + TGATE], 0
        FAULTS  GP, 0, call TGATE:0
        mov     dword [GDT + TGATE], OTHER << 16
        ; from CPL 3 through a gate with DPL 3, to a task at CPL 0
        NEW_TASK task_call
        USER
        call    TGATE3:0
        EQ      [seen], 2
        BITS_EQ [TSS + CS_], 0xffff, USER_CODE
        SUPERVISOR

        ; ---- in the IDT: INT n, an exception with an error code, an interrupt ----
        NEW_TASK task_int
        mov     dword [IDT + 0x40 * 8], OTHER << 16
        mov     dword [IDT + 0x40 * 8 + 4], (A_TASK | DPL3) << 8
        int     0x40
.after_int:
        EQ      [seen], 4
        EQ      [seen + 4], STACK_B             ; no error code
        EQ      [TSS + EIP_], .after_int
        int     0x40                            ; resumes
        EQ      [seen], 5
        NEW_TASK task_fault
        mov     dword [IDT + GP * 8], OTHER << 16
        mov     dword [IDT + GP * 8 + 4], A_TASK << 8
        mov     eax, 0xfff0
.gp:    mov     ds, ax
.gp_end:
        EQ      [seen], 6
        EQ      [seen + 4], STACK_B - 4
        EQ      [seen + 8], 0xfff0              ; its error code
        RESET_GATE GP
        ; a #DF through a task gate: the classic use
        NEW_TASK task_df
        mov     dword [IDT + DF * 8], OTHER << 16
        mov     dword [IDT + DF * 8 + 4], A_TASK << 8
        mov     dword [IDT + GP * 8 + 4], 0
        mov     eax, 0xfff0
        mov     ds, ax
.df_end:
        EQ      [seen], 7
        EQ      [seen + 8], 0
        RESET_GATE GP
        RESET_GATE DF

        ; ---- 16-bit TSS ----
        mov     ecx, 3
.r16:   call    new_task16
        mov     eax, 0xa0a01234
        call    OTHER16:0
        EQ      eax, 0xa0a01234                 ; our TSS is 32-bit
        EQ      [seen], 8
        EQ      [seen + 4], 0xffff1616          ; AX from the TSS, the upper half is all ones or
                                                ; unchanged: see task16
        BITS_EQ [TSS_16], 0xffff, TSS_SEL
        loop    .r16

        ; ---- the T flag: a debug trap before the first instruction of the task ----
        NEW_TASK task_call
        mov     dword [TSS_B + T_], 0x00680001
        xor     eax, eax
        mov     dr6, eax
        mov     dword [ex_hook], t_hook
        mov     dword [ex_count], 0
        call    OTHER:0
        mov     dword [ex_hook], 0
        EQ      [ex_count], 1
        EQ      [ex_vector], DB_
        EQ      [ex_eip], task_call
        EQ      [seen], 2
        mov     eax, dr6
        BITS_EQ eax, 0xe00f, 0x8000
        xor     eax, eax
        mov     dr6, eax

        ; ---- DR7's local enables go, global ones stay ----
        mov     eax, DATA + 0x7000
        mov     dr0, eax
        mov     dr1, eax
        mov     eax, 0x9 | 0x100 | 0x200        ; L0, G1, LE, GE
        mov     dr7, eax
        NEW_TASK task_call
        call    OTHER:0
        mov     eax, dr7
        BITS_EQ eax, 0xff, 8
        xor     eax, eax
        mov     dr7, eax

        ; ---- faults while the new task is loaded are its own: CS:EIP saved is the new one ----
        mov     dword [ex_hook], 0
        NEW_TASK task_call
        mov     dword [TSS_B + DS_], 0x1f0      ; an empty descriptor
        call    .bad_segment
        EQ      [ex_error], 0x1f0
        NEW_TASK task_call
        mov     dword [TSS_B + SS__], CODE32
        mov     edx, CODE32
        call    .bad_stack
        NEW_TASK task_call
        mov     dword [TSS_B + LDT_], DATA32    ; not even the stack is loaded then
        mov     edx, DATA32
        call    .bad_stack
        NEW_TASK task_call
        mov     dword [TSS_B + LDT_], LDT_SEL   ; a good one
        mov     dword [LDT_AT], 0x0000ffff
        mov     dword [LDT_AT + 4], 0x00cf9200
        mov     dword [TSS_B + FS_], 4
        call    OTHER:0
        EQ      [seen], 2
        sldt    ax
        movzx   eax, ax
        EQ      eax, 0                          ; ours has none

        ; ---- IRET with NT set and a bad link ----
        mov     word [TSS + LINK], OTHER        ; not busy: #TS
        push    dword F_NT | 2
        popfd
        FAULTS  TS, OTHER, iretd
        mov     word [TSS + LINK], 0
        FAULTS  TS, 0, iretd
        push    dword 2
        popfd

        ; ---- a task in user mode: CPL 3 by its CS, SYSTEM by INT ----
        NEW_TASK user_task
        mov     dword [TSS_B + CS_], USER_CODE
        mov     dword [TSS_B + SS__], USER_DATA
        mov     dword [TSS_B + DS_], USER_DATA
        mov     dword [TSS_B + ES_], USER_DATA
        mov     dword [TSS_B + 4], STACK_B - 0x800
        mov     dword [TSS_B + 8], DATA32
        SET_GATE 0x41, CODE32, back_to_first, A_INT32 | DPL3
        mov     dword [ex_count], 0
        jmp     OTHER:0
        EQ      [seen], 9
        EQ      [ex_count], 1
        EQ      [ex_vector], GP
        EQ      [ex_esp], STACK_B
        EQ      [ex_frame], STACK_B - 0x800 - 20
        clts
        ret

; The new task has a segment that cannot be loaded: #TS is raised in its context.
.bad_segment:
        mov     dword [ex_hook], ts_hook
        mov     dword [ex_count], 0
        call    OTHER:0
        mov     dword [ex_hook], 0
        EQ      [ex_count], 1
        EQ      [ex_vector], TS
        EQ      [ex_eip], task_call
        ret

; SS is bad: the #TS itself needs a stack, so its handler is a task of its own.
.bad_stack:
        SET_DESC BUSYSEL, TSS_16 + 0x80, 0x67, A_TSS32, 0
        mov     edi, TSS_16 + 0x80
        mov     esi, TSS_B
        mov     ecx, 0x68 / 4
        rep     movsd
        mov     dword [TSS_16 + 0x80 + LDT_], 0
        mov     dword [TSS_16 + 0x80 + SS__], DATA32
        mov     dword [TSS_16 + 0x80 + ESP_], STACK_16
        mov     dword [TSS_16 + 0x80 + EIP_], task_ts
        mov     dword [IDT + TS * 8], BUSYSEL << 16
        mov     dword [IDT + TS * 8 + 4], A_TASK << 8
        call    OTHER:0
        EQ      [seen], 10
        EQ      [seen + 4], edx
        EQ      [seen + 8], OTHER               ; linked to the broken task
        EQ      [TSS_B + EIP_], task_call       ; which was entered
        RESET_GATE TS
        SET_DESC TSS_SEL, TSS, 0x67, A_TSS32, 0
        mov     eax, TSS_SEL
        ltr     ax
        SET_DESC BUSYSEL, TSS_B, 0x67, A_TSS32 | 2, 0
        ret

; ---- tasks ----
task_jump:
        EQ      eax, 0x11111111
        EQ      ecx, 0x22222222
        EQ      edx, 0x33333333
        EQ      ebx, 0x44444444
        EQ      ebp, 0x55555555
        EQ      esi, 0x66666666
        EQ      edi, 0x77777777
        EQ      esp, STACK_B
        BUSY    TSS_SEL, 0
        BUSY    OTHER, 1
        str     ax
        movzx   eax, ax
        EQ      eax, OTHER
        EQ      [TSS + EAX_], 0xa0a0a0a0
        EQ      [TSS + ECX_], 0xc0c0c0c0
        EQ      [TSS + EDX_], 0xd0d0d0d0
        EQ      [TSS + EBX_], USER_DATA
        EQ      [TSS + EBP_], 0xb0b0b0b0
        EQ      [TSS + ESI_], 0x51515151
        EQ      [TSS + EDI_], 0xd1d1d1d1
        EQ      [TSS + EIP_], main.back
        pushfd
        pop     eax
        BITS_EQ eax, F_NT, 0
        mov     ax, gs
        movzx   eax, ax
        EQ      eax, 0
        inc     dword [seen]
        jmp     TSS_SEL:0
        FAIL

task_call:
        BUSY    TSS_SEL, 1
        BUSY    OTHER, 1
        pushfd
        pop     eax
        BITS_EQ eax, F_NT, F_NT
        BITS_EQ [TSS_B + LINK], 0xffff, TSS_SEL
        mov     dword [seen], 2
        iretd
.again: inc     dword [seen]
        iretd
        FAIL

task_int:
        mov     [seen + 4], esp
        mov     dword [seen], 4
        iretd
        mov     dword [seen], 5
        iretd
        FAIL

task_fault:
        mov     [seen + 4], esp
        pop     dword [seen + 8]
        mov     dword [seen], 6
        EQ      [TSS + EIP_], main.gp
        BITS_EQ [TSS + EFLAGS_], F_RF, F_RF
        mov     dword [TSS + EIP_], main.gp_end
        iretd
        FAIL

task_df:
        mov     [seen + 4], esp
        pop     dword [seen + 8]
        mov     dword [seen], 7
        mov     dword [TSS + EIP_], main.df_end
        iretd
        FAIL

task_ts:
        pop     dword [seen + 4]
        mov     dword [seen], 10
        movzx   eax, word [TSS_16 + 0x80 + LINK]
        mov     [seen + 8], eax
        ; back to the first task by a jump: it is busy, so make it free
        mov     dword [GDT + TSS_SEL + 4], A_TSS32 << 8
        jmp     TSS_SEL:0
        FAIL

user_task:
        mov     ax, cs
        movzx   eax, ax
        EQ      eax, USER_CODE
        EQ      esp, STACK_B
        FAULTS  GP, 0, hlt
        mov     dword [seen], 9
        int     0x41
        FAIL
back_to_first:
        jmp     TSS_SEL:0
        FAIL

t_hook:                                 ; leave T set: it counts at switches only
        ret

; #TS in the new task: mend it and go on there
ts_hook:
        mov     eax, DATA32
        mov     dword [ebp + FR_DS], eax
        mov     dword [ebp + FR_ES], eax
        ret

; EBX = entry; clobbers EAX
new_task:
        SET_DESC OTHER, TSS_B, 0x67, A_TSS32, 0
        push    edi
        push    ecx
        mov     edi, TSS_B
        mov     ecx, 0x68 / 4
        xor     eax, eax
        rep     stosd
        pop     ecx
        pop     edi
        mov     [TSS_B + EIP_], ebx
        mov     dword [TSS_B + EFLAGS_], 2
        mov     dword [TSS_B + EAX_], 0x11111111
        mov     dword [TSS_B + ECX_], 0x22222222
        mov     dword [TSS_B + EDX_], 0x33333333
        mov     dword [TSS_B + EBX_], 0x44444444
        mov     dword [TSS_B + EBP_], 0x55555555
        mov     dword [TSS_B + ESI_], 0x66666666
        mov     dword [TSS_B + EDI_], 0x77777777
        mov     dword [TSS_B + ESP_], STACK_B
        mov     dword [TSS_B + ES_], DATA32
        mov     dword [TSS_B + CS_], CODE32
        mov     dword [TSS_B + SS__], DATA32
        mov     dword [TSS_B + DS_], DATA32
        mov     dword [TSS_B + T_], 0x00680000
        mov     dword [seen], 0
        ret

new_task16:
        SET_DESC OTHER16, TSS_16, 0x2b, A_TSS16, 0
        mov     word [TSS_16], 0
        mov     word [TSS_16 + 0x0e], task16
        mov     word [TSS_16 + 0x10], 2
        mov     word [TSS_16 + 0x12], 0x1616    ; AX
        mov     word [TSS_16 + 0x1a], STACK_16 & 0xffff
        mov     word [TSS_16 + 0x22], DATA32
        mov     word [TSS_16 + 0x24], CODE32
        mov     word [TSS_16 + 0x26], STACK16
        mov     word [TSS_16 + 0x28], DATA32
        mov     word [TSS_16 + 0x2a], 0
        SET_DESC STACK16, DATA, 0xffff, A_DATA, 0
        mov     dword [seen], 0
        ret
STACK16 equ FREE + 0x40

; Entered from a 32-bit task through a 16-bit TSS.  What the upper halves of the registers hold is
; not architectural: [SDM 3A 7.6] leaves it open, processors set them to ones or keep them.
task16: or      eax, 0xffff0000
        mov     [seen + 4], eax
        mov     dword [seen], 8
        mov     ax, fs
        test    ax, ax
        jz      .fs
        FAIL
.fs:    iretd
        FAIL
