// SPDX-License-Identifier: GPL-2.0-only
/*
 * Property of arm_smmu_vevent_make(): of two records that differ in nothing that
 * a stage 1 event defines for the guest, it makes the same record (or none), so
 * nothing else gets through. And it changes nothing but the StreamID of what it
 * does let through.
 */
#include "fuzz.h"

#include "arm-smmu-v3-vevent.h"

struct input {
	u64 evt[4];
	u64 noise[4];
	u32 vsid;
	u32 pad;
};

/* Which events have which fields: section 7.3 of IHI 0070 */
static bool in_list(u8 id, const char *list)
{
	return strchr(list, id);
}

#define HAVE_SSV	"\x04\x05\x09\x0a\x0b\x10\x11\x12\x13\x20\x24"
#define HAVE_S2		"\x0b\x10\x11\x12\x13\x20"
#define HAVE_CLASS	"\x0b\x10\x11\x12\x13"
#define GUESTS		"\x04\x05\x06\x08\x09\x0a\x0b\x10\x11\x12\x13\x20\x24"

static void clear(u64 *words, unsigned int hi, unsigned int lo)
{
	words[lo / 64] &= ~((~0ULL >> (63 - (hi - lo))) << (lo % 64));
}

/* Leave in noise what the guest must not be able to see */
static void hide(const u64 *evt, u64 *noise)
{
	u8 id = field(evt, 7, 0);

	clear(noise, 7, 0);
	if (!id || !in_list(id, GUESTS))
		return;
	if (in_list(id, HAVE_SSV)) {
		clear(noise, 11, 11);
		if (field(evt, 11, 11))
			clear(noise, 31, 12);
	}
	if (id == 0x08)
		clear(noise, 31, 12);
	if (in_list(id, HAVE_S2)) {
		clear(noise, 99, 97);
		clear(noise, 103, 103);
		clear(noise, 191, 128);
	}
	if (in_list(id, HAVE_CLASS))
		clear(noise, 105, 104);
	if (id == 0x05) {
		clear(noise, 67, 64);
		clear(noise, 95, 92);
		clear(noise, 191, 140);
	}
	if (id == 0x24) {
		clear(noise, 103, 97);
		clear(noise, 115, 108);
		clear(noise, 191, 140);
	}
}

static unsigned int vevent_one(const uint8_t *data, size_t size)
{
	struct input in;
	__le64 a[4] = { 1, 2, 3, 4 }, b[4] = { 1, 2, 3, 4 };
	bool guests;
	u64 evt[4];
	unsigned int i;
	u8 id;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	id = in.evt[0];

	hide(in.evt, in.noise);
	for (i = 0; i < 4; i++)
		evt[i] = in.evt[i] ^ in.noise[i];

	guests = id && in_list(id, GUESTS) &&
		 !(in_list(id, HAVE_S2) && field(in.evt, 103, 103));
	must(arm_smmu_vevent_is_guests(in.evt) == guests, "event %#x", id);
	must(arm_smmu_vevent_make(in.evt, in.vsid, a) == guests, "event %#x", id);
	must(arm_smmu_vevent_make(evt, in.vsid, b) == guests, "event %#x", id);
	must(!memcmp(a, b, sizeof(a)), "event %#x: the guest sees more", id);
	if (!guests) {
		must(a[0] == 1 && a[1] == 2 && a[2] == 3 && a[3] == 4,
		     "changed");
		return 0;
	}
	must(le64_to_cpu(a[0]) >> 32 == in.vsid, "StreamID");
	must((u8)le64_to_cpu(a[0]) == id, "event number");
	must(!((u32)le64_to_cpu(a[0]) & ~in.evt[0]), "word 0");
	for (i = 1; i < 4; i++)
		must(!(le64_to_cpu(a[i]) & ~in.evt[i]), "word %u", i);
	/* It does get through what the guest needs */
	if (in_list(id, HAVE_S2))
		must(le64_to_cpu(a[2]) == in.evt[2], "InputAddr");
	if (in_list(id, HAVE_CLASS))
		must(!((le64_to_cpu(a[1]) ^ in.evt[1]) & 0x30e00000000ULL),
		     "RnW, InD, PnU, CLASS");
	fuzz_legal[id]++;
	return 1;
}

static size_t vevent_generate(struct rnd_state *rnd, uint8_t *data, size_t max)
{
	struct input in;
	unsigned int i;

	for (i = 0; i < sizeof(in) / 8; i++)
		((u64 *)&in)[i] = rand64(rnd);
	if (in.pad & 7)
		in.evt[0] &= ~0xc0ULL;
	if (in.pad & 8)
		in.evt[1] &= ~(1ULL << 39);
	memcpy(data, &in, sizeof(in));
	return sizeof(in);
}

const struct fuzz_target fuzz_vevent = {
	.name = "vevent",
	.one = vevent_one,
	.generate = vevent_generate,
	.kinds = GUESTS,
};
