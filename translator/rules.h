/*
 * translator/rules.h -- what rule files share about an instruction's operands.
 */
#ifndef RINGER_TRANSLATOR_RULES_H
#define RINGER_TRANSLATOR_RULES_H

#include "translator/build.h"

/* Bytes of the memory operand, 0 when it is only an address or there is none. */
unsigned rules_memory_size(const struct insn *in);
/* Which access the instruction makes to it. */
enum access rules_memory_access(const struct insn *in);
/* Does the instruction, copied, change guest register `reg`?  (IMPLICIT rows: any of RAX..RBX.) */
bool rules_writes_gpr(const struct insn *in, unsigned reg);
/* All of those, a bit each: who asks about every register asks once. */
uint16_t rules_written(const struct insn *in);

/* By how much the instruction moves the 64-bit register, when that is all it does to it; else 0. */
int64_t rules_step(const struct insn *in, unsigned reg);

/* What the native rule does once it is known which instruction to copy. */
bool rules_copy(struct build *b, const struct insn *in);

bool rule_native(struct build *b, const struct insn *in);
bool rule_simd(struct build *b, const struct insn *in);
bool rule_x87(struct build *b, const struct insn *in);
bool rule_lea(struct build *b, const struct insn *in);
bool rule_nop(struct build *b, const struct insn *in);
bool rule_div(struct build *b, const struct insn *in);
bool rule_push(struct build *b, const struct insn *in);
bool rule_pop(struct build *b, const struct insn *in);
bool rule_jcc(struct build *b, const struct insn *in);
bool rule_jmp(struct build *b, const struct insn *in);
bool rule_call_near(struct build *b, const struct insn *in);
bool rule_ret(struct build *b, const struct insn *in);

#endif
