// SPDX-License-Identifier: GPL-2.0-only
/*
 * Property of arm_smmu_vcmd_check(): with SMMUs that raise CERROR_ILL whenever
 * IHI 0070 lets them,
 *
 *  - a command passes if and only if an SMMU of the guest's own, which has stage
 *    1 alone and the same ID registers, would take it and it names no device but
 *    the guest's,
 *  - the physical SMMU takes what it is turned into, which bears the vIOMMU's VMID
 *    or the StreamID of the device, and means the same otherwise, but that a device
 *    without PASIDs is sent none,
 *  - a refused command changes nothing.
 */
#include "fuzz.h"

#include "arm-smmu-v3-vcmd.h"

#define POISON	0xdeadbeefdeadbeefULL

struct input {
	u32 idr0, idr1, idr3, idr5;
	u16 vmid;
	u16 ats;		/* Bit n: vSID n can do ATS */
	u16 pasid;		/* and has PASIDs */
	u64 cmds[8][2];
};

/* A few vSIDs; physical StreamIDs that are none of them */
#define NUM_VSIDS	16
#define SID(vsid)	(0xabc00000u + (vsid) * 8)

struct smmu {
	bool s1p, s2p, ats, asid16, vmid16, ril, ds;
	unsigned int ssidsize;
};

/* Would an SMMU that checks everything take the command? */
static bool smmu_takes(const struct smmu *smmu, const u64 cmd[2])
{
	unsigned int vmid = field(cmd, 47, 32), asid = field(cmd, 63, 48);
	unsigned int num = field(cmd, 16, 12), scale = field(cmd, 25, 20);
	unsigned int ttl = field(cmd, 73, 72), tg = field(cmd, 75, 74);
	unsigned int ssid = field(cmd, 31, 12);

	if (vmid && (!smmu->s2p || (vmid > 255 && !smmu->vmid16)))
		vmid = ~0;
	if (asid > 255 && !smmu->asid16)
		asid = ~0;

	switch (field(cmd, 7, 0)) {
	case 0x05:	/* CFGI_CD */
		return smmu->s1p && !field(cmd, 11, 8) &&
		       !field(cmd, 127, 65) && ssid < 1u << smmu->ssidsize;
	case 0x06:	/* CFGI_CD_ALL */
		return smmu->s1p && !field(cmd, 31, 8) && !field(cmd, 127, 64);
	case 0x10:	/* TLBI_NH_ALL */
		return smmu->s1p && !field(cmd, 31, 8) &&
		       !field(cmd, 63, 48) && !field(cmd, 127, 64) &&
		       vmid != ~0u;
	case 0x11:	/* TLBI_NH_ASID */
		return smmu->s1p && !field(cmd, 31, 8) &&
		       !field(cmd, 127, 64) && vmid != ~0u && asid != ~0u;
	case 0x13:	/* TLBI_NH_VAA */
		if (field(cmd, 63, 48))
			return false;
		fallthrough;
	case 0x12:	/* TLBI_NH_VA */
		if (!smmu->s1p || vmid == ~0u || asid == ~0u)
			return false;
		if (field(cmd, 11, 8) || field(cmd, 19, 17) ||
		    field(cmd, 31, 26) || field(cmd, 71, 65))
			return false;
		if (!smmu->ril || !tg)
			return !num && !scale && !ttl && !tg;
		if (scale > (smmu->ds ? 39 : 31))
			return false;
		if (tg == 2 && ttl == 1 && !smmu->ds)
			return false;
		return num || scale || ttl;
	case 0x30:	/* TLBI_NSNH_ALL */
		return !field(cmd, 63, 8) && !field(cmd, 127, 64);
	case 0x40:	/* ATC_INV */
		if (!smmu->ats || field(cmd, 8, 8) || field(cmd, 10, 10) ||
		    field(cmd, 75, 70) || field(cmd, 69, 64) > 52)
			return false;
		return !field(cmd, 11, 11) ||
		       (smmu->ssidsize && ssid < 1u << smmu->ssidsize);
	default:
		return false;
	}
}

static bool lookup(void *ctx, u32 vsid, struct arm_smmu_vcmd_target *target)
{
	const struct input *in = ctx;

	if (vsid >= NUM_VSIDS)
		return false;
	target->sid = SID(vsid);
	target->ats = (in->ats >> vsid) & 1;
	target->pasid = (in->pasid >> vsid) & 1;
	return true;
}

static bool one(struct input *in, const struct arm_smmu_vcmd_limits *limits,
		const struct smmu *hw, const u64 cmd[2], const u64 array[2],
		bool before)
{
	u64 host[2] = { POISON, ~POISON };
	u32 code = arm_smmu_vcmd_check(limits, lookup, in, cmd, host);
	u8 op = cmd[0];
	bool names = op == 0x05 || op == 0x06 || op == 0x40;
	u32 vsid = cmd[0] >> 32;
	struct smmu guest = *hw;
	bool legal;
	u64 same;

	guest.s2p = false;
	legal = smmu_takes(&guest, cmd);
	/* Of a guest that has nothing but stage 1, and the host says it by VMID */
	if (op == 0x30 && !hw->s1p)
		legal = false;
	if (names && (vsid >= NUM_VSIDS ||
		      (op == 0x40 && !(in->ats >> vsid & 1))))
		legal = false;

	must(code == (legal ? 0 : 1), "%016llx %016llx: code %u",
	     (unsigned long long)cmd[0], (unsigned long long)cmd[1], code);
	if (before && legal)
		must(array[0] == host[0] && array[1] == host[1], "in place");
	else
		must(array[0] == cmd[0] && array[1] == cmd[1], "in place");
	if (!legal) {
		must(host[0] == POISON && host[1] == ~POISON, "changed");
		return false;
	}

	must(smmu_takes(hw, host), "%016llx %016llx becomes %016llx %016llx",
	     (unsigned long long)cmd[0], (unsigned long long)cmd[1],
	     (unsigned long long)host[0], (unsigned long long)host[1]);
	must(cmd[1] == host[1], "word 1");
	if (names) {
		must(host[0] >> 32 == SID(vsid), "StreamID");
		same = 0xffffffff;
		if (op == 0x40 && (!field(cmd, 11, 11) || !(in->pasid >> vsid & 1))) {
			must(!field(host, 31, 11) && !field(host, 9, 9),
			     "left of a SubstreamID");
			same = 0x5ff;
		}
	} else {
		must(field(host, 47, 32) == in->vmid, "VMID");
		same = 0xffff0000ffffffff;
		if (op == 0x30) {
			must(field(host, 7, 0) == 0x10, "opcode");
			same = 0xffff0000ffffff00;
		}
	}
	must(!((cmd[0] ^ host[0]) & same), "word 0");
	fuzz_legal[op]++;
	return true;
}

static unsigned int vcmd_one(const uint8_t *data, size_t size)
{
	struct arm_smmu_vcmd_limits limits;
	struct input in = {};
	unsigned int i, n, good, legal = 0;
	u64 array[8][2];
	size_t head = offsetof(struct input, cmds);

	if (size < head)
		return 0;
	if (size > sizeof(in))
		size = sizeof(in);
	memcpy(&in, data, size);
	n = (size - head) / sizeof(in.cmds[0]);

	struct smmu hw = {
		.s1p = in.idr0 >> 1 & 1,
		.s2p = true,
		.ats = in.idr0 >> 10 & 1,
		.asid16 = in.idr0 >> 12 & 1,
		.vmid16 = in.idr0 >> 18 & 1,
		.ril = in.idr3 >> 10 & 1,
		.ds = in.idr5 >> 7 & 1,
		.ssidsize = in.idr1 >> 6 & 0x1f,
	};

	/* The caller's part */
	if (!hw.vmid16)
		in.vmid &= 0xff;
	if (!in.vmid)
		in.vmid = 1;
	if (hw.ssidsize > 20)
		hw.ssidsize = 20;

	arm_smmu_vcmd_limits_init(&limits, in.idr0, in.idr1, in.idr3, in.idr5,
				  in.vmid);
	memcpy(array, in.cmds, sizeof(array));
	good = arm_smmu_vcmd_check_array(&limits, lookup, &in, array[0], n);
	must(good <= n, "more than there are");
	for (i = 0; i < n; i++)
		legal += one(&in, &limits, &hw, in.cmds[i], array[i], i < good);
	if (good < n) {
		u64 host[2];

		must(arm_smmu_vcmd_check(&limits, lookup, &in, in.cmds[good],
					 host) == 1, "stopped at a legal one");
	}
	return legal;
}

static size_t vcmd_generate(struct rnd_state *rnd, uint8_t *data, size_t max)
{
	static const u8 ops[] = {
		0x05, 0x06, 0x10, 0x11, 0x12, 0x12, 0x12, 0x13, 0x30, 0x40, 0x40,
	};
	struct input in = {
		.idr0 = rand64(rnd) | (prandom_u32_state(rnd) % 8 ? 2 : 0),
		.idr1 = rand64(rnd),
		.idr3 = rand64(rnd),
		.idr5 = rand64(rnd),
		.vmid = rand64(rnd),
		.ats = rand64(rnd),
		.pasid = rand64(rnd),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(in.cmds); i++) {
		u64 *cmd = in.cmds[i];
		u32 how = prandom_u32_state(rnd);

		if (how % 16 == 0) {
			cmd[0] = rand64(rnd);
			cmd[1] = rand64(rnd);
			continue;
		}
		/* Like the one before, but for some bits */
		if (how % 16 < 4 && i) {
			cmd[0] = cmd[-2];
			cmd[1] = cmd[-1] ^ (rand64(rnd) & ~0xfffULL);
			if (how >> 4 & 1)
				cmd[how >> 5 & 1] ^= 1ULL << (how >> 6 & 63);
			continue;
		}
		/* Some of the fields, then maybe one bit too many */
		cmd[0] = ops[(how >> 4) % ARRAY_SIZE(ops)];
		if (cmd[0] < 0x10 || cmd[0] >= 0x40) {
			cmd[0] |= (rand64(rnd) % (NUM_VSIDS + 1)) << 32;
			if (how >> 8 & 1)
				cmd[0] |= (rand64(rnd) >> how % 32 & 0xfffff) << 12;
			if (cmd[0] % 256 == 0x40) {
				cmd[0] |= (rand64(rnd) & 5) << 9;
				cmd[1] |= rand64(rnd) & ~0xfc0ULL;
			} else if (cmd[0] % 256 == 0x05) {
				cmd[1] = how >> 9 & 1;
			}
		} else if (cmd[0] == 0x11) {
			cmd[0] |= rand64(rnd) << 48 >> (how >> 8 & 8) &
				  ~0xffffffffffffULL;
		} else if (cmd[0] < 0x30 && cmd[0] > 0x10) {
			if (cmd[0] == 0x12)
				cmd[0] |= rand64(rnd) << 48;
			cmd[1] = rand64(rnd) & ~0xf80ULL;
			if (how >> 8 & 1) {
				cmd[0] |= (rand64(rnd) & 0x1f) << 12;
				cmd[0] |= (rand64(rnd) & 0x3f) << 20;
			}
			if (how >> 9 & 1)
				cmd[1] |= (rand64(rnd) & 0xf) << 8;
			cmd[1] &= ~0xfeULL;
		}
		if ((how >> 10) % 4 == 0)
			cmd[how >> 12 & 1] ^= 1ULL << (how >> 13 & 63);
	}
	memcpy(data, &in, sizeof(in));
	return sizeof(in);
}

const struct fuzz_target fuzz_vcmd = {
	.name = "vcmd",
	.one = vcmd_one,
	.generate = vcmd_generate,
	.kinds = "\x05\x06\x10\x11\x12\x13\x30\x40",
};
