; tests/guests/sysenter.asm -- SYSENTER and SYSEXIT. [SDM 2B "SYSENTER", "SYSEXIT"]
%include "common.inc"

CS_MSR  equ 0x174
ESP_MSR equ 0x175
EIP_MSR equ 0x176
seen    equ vars

%macro WRITE_MSR 2
        mov     ecx, %1
        mov     eax, %2
        xor     edx, edx
        wrmsr
%endmacro

main:
        WRITE_MSR CS_MSR, 0
        FAULTS  GP, 0, sysenter
        FAULTS  GP, 0, sysexit
        USER
        FAULTS  GP, 0, sysenter
        SUPERVISOR
        WRITE_MSR CS_MSR, CODE32
        WRITE_MSR ESP_MSR, KERNEL_STACK - 0x800
        WRITE_MSR EIP_MSR, entry
        mov     ecx, ESP_MSR
        rdmsr
        EQ      eax, KERNEL_STACK - 0x800
        mov     esi, 12
.round: mov     dword [seen], 0
        USER    3
        sti
        mov     eax, 0x11112222
        mov     ecx, esp
        mov     edx, .back
        stc
        sysenter
        FAIL
.back:  jc      .flags
        FAIL
.flags: EQ      eax, 0x22221111
        EQ      esp, USER_STACK
        mov     ax, cs
        movzx   eax, ax
        EQ      eax, USER_CODE
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, USER_DATA
        ; SYSEXIT at CPL 3
        FAULTS  GP, 0, sysexit
        EQ      [ex_cs], USER_CODE
        SUPERVISOR
        EQ      [seen], 1
        dec     esi
        jnz     .round
        ; with RPL bits in the MSR: ignored
        WRITE_MSR CS_MSR, CODE32 | 3
        USER    3
        mov     ecx, esp
        mov     edx, .back2
        stc
        sysenter
.back2: SUPERVISOR
        EQ      [seen], 2
        ret

entry:  pushfd
        pop     dword [seen + 4]
        EQ      esp, KERNEL_STACK - 0x800
        BITS_EQ [seen + 4], F_IF | F_VM | F_RF | F_CF | F_IOPL, F_CF | F_IOPL        ; IF cleared
        push    eax
        mov     ax, cs
        movzx   eax, ax
        EQ      eax, CODE32
        mov     ax, ss
        movzx   eax, ax
        EQ      eax, DATA32
        mov     ax, ds
        movzx   eax, ax
        EQ      eax, USER_DATA                  ; data segments stay
        inc     dword [seen]
        pop     eax
        rol     eax, 16
        stc
        sysexit
