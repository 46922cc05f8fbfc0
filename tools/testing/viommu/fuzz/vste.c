// SPDX-License-Identifier: GPL-2.0-only
/*
 * Property of arm_smmu_vste_check() and arm_smmu_make_nested_ste(): whatever two
 * words the guest has,
 *
 *  - they are taken if and only if an SMMU with stage 1 alone and the same ID
 *    registers would not find them ILLEGAL and they stay within what a guest may
 *    ask for,
 *  - the STE that comes out is legal on the physical SMMU. It aborts, has stage 2
 *    alone or has both stages, as the guest said, and stage 2 is the host's word
 *    for word but for the VMID,
 *  - it never lets stage 1 stall that nobody would resume, and ATS is on in it if
 *    and only if it is on in the device.
 */
#include <errno.h>

#include "fuzz.h"

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vste.h"

struct input {
	u32 idr0, idr1;
	u8 ipa_bits;
	u8 flags;
	u16 vmid;
	u64 vste[2];
	u64 s2[8];
};

struct smmu {
	bool ats, cd2l, ns1ats;
	unsigned int stall_model, ssidsize, ipa_bits;
};

/* Section 5.2 of IHI 0070, what is ILLEGAL in the fields that matter here */
static bool ste_legal(const struct smmu *smmu, const u64 *ste, bool nested)
{
	unsigned int config = field(ste, 3, 1), eats = field(ste, 93, 92);
	unsigned int s1cdmax = field(ste, 63, 59);

	if (!field(ste, 0, 0))
		return false;
	if (config < 4)
		return config == 0;
	if (config & 1) {
		if (smmu->ssidsize && s1cdmax) {
			if (s1cdmax > smmu->ssidsize)
				return false;
			if (field(ste, 5, 4) && !smmu->cd2l)
				return false;
		}
		if (field(ste, 91, 91) && smmu->stall_model)
			return false;
		/* May be answered with C_BAD_STE */
		if (field(ste, 51, 6) >> (smmu->ipa_bits - 6))
			return false;
	}
	if (config != 4 && smmu->ats) {
		bool s2s = nested && (config & 2) && field(ste, 185, 185);

		if (eats == 2)
			return false;
		if (eats && s2s)
			return false;
	}
	/* 2: stalls can't be turned off */
	if (nested && (config & 2) && smmu->stall_model == 1 &&
	    field(ste, 185, 185))
		return false;
	return true;
}

static unsigned int vste_one(const uint8_t *data, size_t size)
{
	struct arm_smmu_vste_limits limits;
	struct arm_smmu_ste s2_ste, target;
	struct arm_smmu_vste_host host;
	struct input in;
	__le64 guest[2], vste[2] = { 1, 2 };
	unsigned int config, i, ret;
	u64 ste[8];
	bool legal, valid;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));

	struct smmu hw = {
		.ats = in.idr0 >> 10 & 1,
		.cd2l = in.idr0 >> 19 & 1,
		.stall_model = in.idr0 >> 24 & 3,
		.ssidsize = in.idr1 >> 6 & 0x1f,
		.ipa_bits = 32 + in.ipa_bits % 21,
	};
	if (hw.ssidsize > 20)
		hw.ssidsize = 20;
	/* 3 is Reserved */
	if (hw.stall_model == 3)
		return 0;

	/* The host's STE: stage 2, and nothing of stage 1; legal by itself */
	in.s2[0] = 0xd;
	in.s2[1] &= ~(0x080000ffULL | 0x00080000 | 0x30000000);
	if (hw.stall_model == 1)
		in.s2[2] &= ~(1ULL << 57);
	host = (struct arm_smmu_vste_host){
		.vmid = in.vmid,
		.stall_model = hw.stall_model,
		.stall_allowed = in.flags & 1,
		.ats_enabled = in.flags & 2 && hw.ats,
	};

	arm_smmu_vste_limits_init(&limits, in.idr0, in.idr1, hw.ipa_bits);
	for (i = 0; i < 2; i++)
		guest[i] = cpu_to_le64(in.vste[i]);
	ret = -arm_smmu_vste_check(&limits, guest, vste);

	config = field(in.vste, 3, 1);
	valid = field(in.vste, 0, 0);
	legal = !valid ||
		((config == 0 || config == 4 || config == 5) &&
		 !field(in.vste, 58, 52) && !field(in.vste, 90, 72) &&
		 !field(in.vste, 127, 93) && ste_legal(&hw, in.vste, false));
	must(ret == (legal ? 0 : EIO), "%016llx %016llx: %u",
	     (unsigned long long)in.vste[0], (unsigned long long)in.vste[1],
	     ret);
	if (ret) {
		must(vste[0] == 1 && vste[1] == 2, "changed");
		return 0;
	}
	fuzz_legal[valid ? 'a' + config : 'v']++;
	if (!valid)
		config = 0;
	must(arm_smmu_vste_translates(vste) == (config == 5), "translates");
	must(arm_smmu_vste_wants_ats(vste) ==
	     (config == 5 && field(in.vste, 93, 92)), "wants ATS");

	for (i = 0; i < 8; i++)
		s2_ste.data[i] = cpu_to_le64(in.s2[i]);
	memset(&target, 0x5a, sizeof(target));
	arm_smmu_make_nested_ste(&target, &s2_ste, vste, &host);
	for (i = 0; i < 8; i++)
		ste[i] = le64_to_cpu(target.data[i]);

	must(ste_legal(&hw, ste, true), "illegal: %016llx %016llx",
	     (unsigned long long)ste[0], (unsigned long long)ste[1]);
	must(field(ste, 3, 1) == (config == 0 ? 0 : config == 4 ? 6 : 7),
	     "Config");
	if (!config) {
		for (i = 1; i < 8; i++)
			must(!ste[i], "word %u of an STE that aborts", i);
		return 1;
	}

	for (i = 3; i < 8; i++)
		must(ste[i] == in.s2[i], "word %u is the host's", i);
	must(field(ste, 143, 128) == in.vmid, "VMID");
	must(!((ste[2] ^ in.s2[2]) & ~0xffffULL), "word 2 is the host's");
	must(field(ste, 93, 92) == (host.ats_enabled && !field(ste, 185, 185)),
	     "EATS");
	if (config == 4) {
		must(!field(ste, 63, 4), "word 0 has something of stage 1");
		must(!((ste[1] ^ in.s2[1]) & ~0x30000000ULL),
		     "word 1 is the host's");
		return 1;
	}

	must(!((ste[1] ^ in.s2[1]) & ~0x380800ffULL), "word 1 is the host's");
	must(field(ste, 83, 83), "MEV");
	must(field(ste, 51, 6) == field(in.vste, 51, 6), "S1ContextPtr");
	must(field(ste, 71, 66) == field(in.vste, 71, 66), "attributes");
	if (hw.stall_model == 0 && !host.stall_allowed)
		must(field(ste, 91, 91), "may stall");
	if (hw.stall_model == 0 && host.stall_allowed)
		must(field(ste, 91, 91) == field(in.vste, 91, 91), "S1STALLD");
	if (hw.ssidsize && field(in.vste, 63, 59)) {
		static const u8 s1fmt[] = { 0, 1, 2, 0 }, s1dss[] = { 0, 1, 2, 0 };

		must(field(ste, 63, 59) == field(in.vste, 63, 59), "S1CDMax");
		must(field(ste, 5, 4) == s1fmt[field(in.vste, 5, 4)], "S1Fmt");
		must(field(ste, 65, 64) == s1dss[field(in.vste, 65, 64)],
		     "S1DSS");
	} else {
		must(!field(ste, 63, 59) && !field(ste, 5, 4) &&
		     !field(ste, 65, 64), "left of substreams");
	}
	return 1;
}

static size_t vste_generate(struct rnd_state *rnd, uint8_t *data, size_t max)
{
	u32 how = prandom_u32_state(rnd);
	struct input in;
	unsigned int i;

	for (i = 0; i < sizeof(in) / 8; i++)
		((u64 *)&in)[i] = rand64(rnd);
	if (how & 7) {
		in.vste[0] &= 0xf80fffffffffffff;
		in.vste[1] &= 0x180000ff;
	}
	if (how & 0x10)
		in.vste[0] &= ~0x000fffff00000000ULL;
	if (how & 0x60)
		in.vste[0] = (in.vste[0] & ~0xfULL) | 0xb;
	if (how & 0x80)
		in.vste[0] &= ~0xf000000000000000ULL;
	if ((how & 0x700) == 0)
		in.vste[how >> 31] ^= 1ULL << (how >> 16 & 63);
	memcpy(data, &in, sizeof(in));
	return sizeof(in);
}

const struct fuzz_target fuzz_vste = {
	.name = "vste",
	.one = vste_one,
	.generate = vste_generate,
	/* V == 0; Config is abort, bypass, stage 1 */
	.kinds = (const char[]){ 'v', 'a', 'a' + 4, 'a' + 5, 0 },
};
