// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: STE updates to and from nested domains, unmaps in a nest parent
 *
 * An STE that is in use must be good whenever the SMMU looks. The writer's sync
 * callback stands for the SMMU: it sees the STE whenever the driver lets the
 * SMMU see it, and checks what must hold at every such moment and before it.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/bitfield.h>
#include <linux/io.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-cmdq-error.h"
#include "arm-smmu-v3-viommu.h"

#define TEST_VMID_PARENT	3
#define TEST_VMID_A		4
#define TEST_VMID_B		5
#define TEST_VMID_OTHER		6
#define TEST_S2TTB		0x80000000ULL
#define TEST_S2TTB_OTHER	0x90000000ULL
#define TEST_GUEST_CTXPTR	0x40010000ULL
#define TEST_HOST_CTXPTR	0x70000000ULL
#define TEST_VTCR		0x21234ULL

struct nested_test_writer {
	struct arm_smmu_entry_writer writer;
	struct kunit *test;
	const char *name;
	struct arm_smmu_ste *ste;
	struct arm_smmu_ste seen;
	unsigned int syncs;
	unsigned int windows;
	bool invalid;
};

static u64 ste_word(const struct arm_smmu_ste *ste, unsigned int n)
{
	return le64_to_cpu(ste->data[n]);
}

/* What the SMMU makes of an STE that it reads */
static void nested_test_look(struct nested_test_writer *w,
			     const struct arm_smmu_ste *ste)
{
	u64 w0 = ste_word(ste, 0), w2 = ste_word(ste, 2);
	u64 ctxptr = w0 & STRTAB_STE_0_S1CTXPTR_MASK;
	unsigned int vmid = FIELD_GET(STRTAB_STE_2_S2VMID, w2);
	u64 s2ttb = ste_word(ste, 3);

	if (!(w0 & STRTAB_STE_0_V))
		return;

	switch (FIELD_GET(STRTAB_STE_0_CFG, w0)) {
	case STRTAB_STE_0_CFG_ABORT:
	case STRTAB_STE_0_CFG_BYPASS:
		return;
	case STRTAB_STE_0_CFG_S1_TRANS:
		/* A guest's pointer must not be taken as a physical address */
		KUNIT_EXPECT_EQ_MSG(w->test, ctxptr, TEST_HOST_CTXPTR, "%s",
				    w->name);
		return;
	case STRTAB_STE_0_CFG_NESTED:
		KUNIT_EXPECT_EQ_MSG(w->test, ctxptr, TEST_GUEST_CTXPTR, "%s",
				    w->name);
		KUNIT_EXPECT_TRUE_MSG(w->test,
				      vmid == TEST_VMID_A || vmid == TEST_VMID_B,
				      "%s: stage 1 under VMID %u", w->name,
				      vmid);
		break;
	}
	/* With stage 2 on */
	KUNIT_EXPECT_EQ_MSG(w->test, s2ttb,
			    vmid == TEST_VMID_OTHER ? TEST_S2TTB_OTHER :
						      TEST_S2TTB,
			    "%s: VMID %u", w->name, vmid);
	KUNIT_EXPECT_TRUE_MSG(w->test, w2 & STRTAB_STE_2_S2AA64, "%s", w->name);
}

/*
 * The words written since the last time reach memory in any order, so until now the
 * SMMU may have read any mix of old and new ones.
 */
static void nested_test_sync(struct arm_smmu_entry_writer *writer)
{
	struct nested_test_writer *w =
		container_of(writer, struct nested_test_writer, writer);
	unsigned int i, mask;

	for (mask = 1; mask < BIT(ARRAY_SIZE(w->seen.data)); mask++) {
		struct arm_smmu_ste mix = w->seen;

		for (i = 0; i < ARRAY_SIZE(mix.data); i++)
			if (mask & BIT(i))
				mix.data[i] = w->ste->data[i];
		nested_test_look(w, &mix);
	}
	w->seen = *w->ste;

	w->syncs++;
	if (!(ste_word(w->ste, 0) & STRTAB_STE_0_V)) {
		w->windows += !w->invalid;
		w->invalid = true;
		return;
	}
	w->invalid = false;
}

static const struct arm_smmu_entry_writer_ops nested_test_writer_ops = {
	.sync = nested_test_sync,
	.get_used = arm_smmu_get_ste_used,
};

static void make_s2(struct arm_smmu_ste *ste, unsigned int vmid, u64 s2ttb,
		    bool mev, bool ats)
{
	*ste = (struct arm_smmu_ste){};
	ste->data[0] = cpu_to_le64(
		STRTAB_STE_0_V |
		FIELD_PREP(STRTAB_STE_0_CFG, STRTAB_STE_0_CFG_S2_TRANS));
	ste->data[1] = cpu_to_le64(
		FIELD_PREP(STRTAB_STE_1_EATS, ats ? STRTAB_STE_1_EATS_TRANS : 0) |
		(mev ? STRTAB_STE_1_MEV : 0));
	ste->data[2] = cpu_to_le64(FIELD_PREP(STRTAB_STE_2_S2VMID, vmid) |
				   FIELD_PREP(STRTAB_STE_2_VTCR, TEST_VTCR) |
				   STRTAB_STE_2_S2AA64 | STRTAB_STE_2_S2PTW |
				   STRTAB_STE_2_S2R);
	ste->data[3] = cpu_to_le64(s2ttb);
}

static void make_nested(struct arm_smmu_ste *ste, unsigned int cfg,
			unsigned int vmid, bool ats)
{
	const struct arm_smmu_vste_host host = {
		.vmid = vmid,
		.ats_enabled = ats,
	};
	__le64 vste[2] = {
		cpu_to_le64(STRTAB_STE_0_V | FIELD_PREP(STRTAB_STE_0_CFG, cfg)),
	};
	struct arm_smmu_ste s2;

	if (cfg == STRTAB_STE_0_CFG_S1_TRANS) {
		vste[0] |= cpu_to_le64(TEST_GUEST_CTXPTR);
		vste[1] = cpu_to_le64(
			FIELD_PREP(STRTAB_STE_1_S1CIR,
				   STRTAB_STE_1_S1C_CACHE_WBRA) |
			FIELD_PREP(STRTAB_STE_1_S1CSH, ARM_SMMU_SH_ISH));
	}
	make_s2(&s2, TEST_VMID_PARENT, TEST_S2TTB, true, false);
	arm_smmu_make_nested_ste(ste, &s2, vste, &host);
}

static void make_host_s1(struct arm_smmu_ste *ste, bool ats)
{
	*ste = (struct arm_smmu_ste){};
	ste->data[0] = cpu_to_le64(
		STRTAB_STE_0_V | TEST_HOST_CTXPTR |
		FIELD_PREP(STRTAB_STE_0_CFG, STRTAB_STE_0_CFG_S1_TRANS));
	ste->data[1] = cpu_to_le64(
		FIELD_PREP(STRTAB_STE_1_S1DSS, STRTAB_STE_1_S1DSS_SSID0) |
		FIELD_PREP(STRTAB_STE_1_S1CIR, STRTAB_STE_1_S1C_CACHE_WBRA) |
		FIELD_PREP(STRTAB_STE_1_EATS, ats ? STRTAB_STE_1_EATS_TRANS : 0));
}

/* Everything that a stream can be, by what the SMMU must be able to do */
enum {
	ABORT,
	HOST_S1,
	HOST_S1_ATS,
	HOST_S2,
	PARENT,
	PARENT_ATS,
	PARENT_NO_MEV,
	BYPASS_A,
	STAGE1_A,
	STAGE1_A_ATS,
	BYPASS_B,
	STAGE1_B,
	NUM_STES,
};

static const char *const ste_names[NUM_STES] = {
	[ABORT] = "abort",
	[HOST_S1] = "host stage 1",
	[HOST_S1_ATS] = "host stage 1 with ATS",
	[HOST_S2] = "host stage 2",
	[PARENT] = "nest parent",
	[PARENT_ATS] = "nest parent with ATS",
	[PARENT_NO_MEV] = "nest parent without MEV",
	[BYPASS_A] = "bypass on vIOMMU a",
	[STAGE1_A] = "stage 1 on vIOMMU a",
	[STAGE1_A_ATS] = "stage 1 on vIOMMU a with ATS",
	[BYPASS_B] = "bypass on vIOMMU b",
	[STAGE1_B] = "stage 1 on vIOMMU b",
};

static void make_ste(struct arm_smmu_ste *ste, unsigned int which)
{
	switch (which) {
	case ABORT:
		make_nested(ste, STRTAB_STE_0_CFG_ABORT, TEST_VMID_A, false);
		break;
	case HOST_S1:
	case HOST_S1_ATS:
		make_host_s1(ste, which == HOST_S1_ATS);
		break;
	case HOST_S2:
		make_s2(ste, TEST_VMID_OTHER, TEST_S2TTB_OTHER, false, false);
		break;
	case PARENT:
	case PARENT_ATS:
	case PARENT_NO_MEV:
		make_s2(ste, TEST_VMID_PARENT, TEST_S2TTB,
			which != PARENT_NO_MEV, which == PARENT_ATS);
		break;
	case BYPASS_A:
		make_nested(ste, STRTAB_STE_0_CFG_BYPASS, TEST_VMID_A, false);
		break;
	case STAGE1_A:
	case STAGE1_A_ATS:
		make_nested(ste, STRTAB_STE_0_CFG_S1_TRANS, TEST_VMID_A,
			    which == STAGE1_A_ATS);
		break;
	case BYPASS_B:
		make_nested(ste, STRTAB_STE_0_CFG_BYPASS, TEST_VMID_B, false);
		break;
	case STAGE1_B:
		make_nested(ste, STRTAB_STE_0_CFG_S1_TRANS, TEST_VMID_B, false);
		break;
	}
}

/* Returns how often the STE became invalid for a while */
static unsigned int update(struct kunit *test, unsigned int from,
			   unsigned int to, unsigned int *syncs)
{
	struct arm_smmu_ste ste, target;
	char name[80];
	struct nested_test_writer w = {
		.writer.ops = &nested_test_writer_ops,
		.test = test,
		.name = name,
		.ste = &ste,
	};

	snprintf(name, sizeof(name), "%s to %s", ste_names[from], ste_names[to]);
	make_ste(&ste, from);
	make_ste(&target, to);
	w.seen = ste;
	arm_smmu_write_ste_entry(&w.writer, &ste, &target);
	KUNIT_EXPECT_MEMEQ_MSG(test, &ste, &target, sizeof(ste), "%s", name);
	if (syncs)
		*syncs = w.syncs;
	return w.windows;
}

/* Any to any: ends as it should, and nothing bad is visible in between */
static void nested_test_all_pairs(struct kunit *test)
{
	unsigned int from, to, syncs;

	for (from = 0; from < NUM_STES; from++) {
		for (to = 0; to < NUM_STES; to++) {
			KUNIT_EXPECT_LE(test, update(test, from, to, &syncs), 1);
			KUNIT_EXPECT_LE(test, syncs, 5);
			if (from == to)
				KUNIT_EXPECT_EQ(test, syncs, 0);
		}
	}
}

/* What a guest does all the time never stops the device */
static void nested_test_hitless(struct kunit *test)
{
	static const u8 same_vm[] = {
		ABORT, PARENT, PARENT_ATS, PARENT_NO_MEV, BYPASS_A, STAGE1_A,
		STAGE1_A_ATS,
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(same_vm); i++)
		for (j = 0; j < ARRAY_SIZE(same_vm); j++)
			KUNIT_EXPECT_EQ_MSG(test,
					    update(test, same_vm[i], same_vm[j],
						   NULL),
					    0, "%s to %s", ste_names[same_vm[i]],
					    ste_names[same_vm[j]]);

	KUNIT_EXPECT_EQ(test, update(test, BYPASS_A, BYPASS_B, NULL), 0);
	KUNIT_EXPECT_EQ(test, update(test, BYPASS_A, STAGE1_B, NULL), 0);
	KUNIT_EXPECT_EQ(test, update(test, STAGE1_A, BYPASS_B, NULL), 0);
}

/* And what can't be done a word at a time is not tried */
static void nested_test_disruptive(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, update(test, HOST_S2, STAGE1_A, NULL), 1);
	KUNIT_EXPECT_EQ(test, update(test, STAGE1_A, HOST_S2, NULL), 1);
	KUNIT_EXPECT_EQ(test, update(test, HOST_S2, BYPASS_A, NULL), 1);
}

/* The host's own updates take no step more than without nesting */
static void nested_test_host_cost(struct kunit *test)
{
	unsigned int syncs;

	update(test, HOST_S1, HOST_S1_ATS, &syncs);
	KUNIT_EXPECT_EQ(test, syncs, 1);
	update(test, HOST_S1_ATS, HOST_S1, &syncs);
	KUNIT_EXPECT_EQ(test, syncs, 1);
	update(test, HOST_S1_ATS, ABORT, &syncs);
	KUNIT_EXPECT_EQ(test, syncs, 2);
	update(test, ABORT, HOST_S1_ATS, &syncs);
	KUNIT_EXPECT_EQ(test, syncs, 2);
}

static struct kunit_case nested_test_cases[] = {
	KUNIT_CASE(nested_test_all_pairs),
	KUNIT_CASE(nested_test_hitless),
	KUNIT_CASE(nested_test_disruptive),
	KUNIT_CASE(nested_test_host_cost),
	{}
};

static struct kunit_suite nested_test_suite = {
	.name = "arm-smmu-v3-nested",
	.test_cases = nested_test_cases,
};

/*
 * Unmaps in a nest parent. The SMMU is one that has consumed every command as
 * soon as it is told of it, because CMDQ_CONS and CMDQ_PROD are the same word of
 * memory. What the driver issued is then found in the queue, in order.
 */

#define PARENT_TEST_QSHIFT	8
#define PARENT_TEST_SID		0x10

struct parent_test {
	struct arm_smmu_device smmu;
	struct arm_smmu_domain parent;
	struct arm_smmu_viommu viommu[2];
	struct arm_smmu_master master[2];
	struct arm_smmu_stream stream[2];
	struct arm_smmu_master_domain master_domain[2];
};

static int parent_test_init(struct kunit *test)
{
	struct parent_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct arm_smmu_cmdq *cmdq;
	void *regs;
	u32 *cons;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;

	cmdq = &t->smmu.cmdq;
	t->smmu.features = ARM_SMMU_FEAT_RANGE_INV | ARM_SMMU_FEAT_ATS |
			   ARM_SMMU_FEAT_NESTING;
	regs = kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, regs);
	t->smmu.base = (void __iomem *)regs;
	t->smmu.dev = kunit_device_register(test, "arm-smmu-v3-parent");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->smmu.dev);
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_errors_init(&t->smmu), 0);

	cons = kunit_kzalloc(test, sizeof(*cons), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, cons);
	cmdq->q.cons_reg = (u32 __iomem *)cons;
	cmdq->q.prod_reg = (u32 __iomem *)cons;
	cmdq->q.ent_dwords = CMDQ_ENT_DWORDS;
	cmdq->q.llq.max_n_shift = PARENT_TEST_QSHIFT;
	cmdq->q.base = kunit_kcalloc(test, 1 << PARENT_TEST_QSHIFT,
				     1 << CMDQ_ENT_SZ_SHIFT, GFP_KERNEL);
	cmdq->valid_map = kunit_kcalloc(test, BITS_TO_LONGS(1 << PARENT_TEST_QSHIFT),
					sizeof(*cmdq->valid_map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, cmdq->q.base);
	KUNIT_ASSERT_NOT_NULL(test, cmdq->valid_map);

	for (unsigned int i = 0; i < 2; i++) {
		t->viommu[i].smmu = &t->smmu;
		t->viommu[i].s2_parent = &t->parent;
		t->viommu[i].limits.vmid = TEST_VMID_A + i;
		t->stream[i].id = PARENT_TEST_SID + i;
		t->master[i].smmu = &t->smmu;
		t->master[i].streams = &t->stream[i];
		t->master[i].num_streams = 1;
		t->master_domain[i].master = &t->master[i];
		t->master_domain[i].ssid = IOMMU_NO_PASID;
	}

	t->parent.smmu = &t->smmu;
	t->parent.domain.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G;
	INIT_LIST_HEAD(&t->parent.devices);
	spin_lock_init(&t->parent.devices_lock);
	KUNIT_ASSERT_EQ(test, arm_smmu_nest_parent_init(&t->parent,
							&t->master[0], 0), 0);
	return 0;
}

static unsigned int parent_test_issued(struct parent_test *t)
{
	return readl(t->smmu.cmdq.q.prod_reg);
}

static u64 parent_test_cmd(struct parent_test *t, unsigned int n, unsigned int word)
{
	return le64_to_cpu(t->smmu.cmdq.q.base[n * CMDQ_ENT_DWORDS + word]);
}

static u8 parent_test_op(struct parent_test *t, unsigned int n)
{
	return FIELD_GET(CMDQ_0_OP, parent_test_cmd(t, n, 0));
}

static u16 parent_test_vmid(struct parent_test *t, unsigned int n)
{
	return FIELD_GET(CMDQ_TLBI_0_VMID, parent_test_cmd(t, n, 0));
}

/* The first command of the VMID, from @n on; fails the test if there is none */
static unsigned int parent_test_find(struct kunit *test, unsigned int n, u8 op,
				     u16 vmid)
{
	struct parent_test *t = test->priv;

	for (; n < parent_test_issued(t); n++)
		if (parent_test_op(t, n) == op &&
		    (op == CMDQ_OP_CMD_SYNC || parent_test_vmid(t, n) == vmid))
			return n;
	KUNIT_FAIL(test, "no command 0x%x of VMID %u", op, vmid);
	return n;
}

static void parent_test_range(struct kunit *test)
{
	struct parent_test *t = test->priv;
	unsigned int i, n;

	/* Without a vIOMMU there is nothing to do */
	arm_smmu_nest_parent_inv_range(&t->parent, 0x40000000, SZ_4K, SZ_4K, true);
	KUNIT_EXPECT_EQ(test, parent_test_issued(t), 0);

	/* One: stage 2 by address, then, when that is through, all of stage 1 */
	KUNIT_ASSERT_EQ(test, 0, arm_smmu_nest_parent_join(&t->viommu[0]));
	arm_smmu_nest_parent_inv_range(&t->parent, 0x40000000, 3 * SZ_4K, SZ_4K,
				       true);
	n = parent_test_find(test, 0, CMDQ_OP_TLBI_S2_IPA, TEST_VMID_A);
	KUNIT_EXPECT_EQ(test, parent_test_cmd(t, n, 1) & CMDQ_TLBI_1_IPA_MASK,
			0x40000000);
	KUNIT_EXPECT_TRUE(test, parent_test_cmd(t, n, 1) & CMDQ_TLBI_1_LEAF);
	n = parent_test_find(test, n, CMDQ_OP_CMD_SYNC, 0);
	n = parent_test_find(test, n, CMDQ_OP_TLBI_NH_ALL, TEST_VMID_A);
	KUNIT_EXPECT_EQ(test, parent_test_cmd(t, n, 1), 0);
	parent_test_find(test, n, CMDQ_OP_CMD_SYNC, 0);

	/* Several: all of all, at once */
	KUNIT_ASSERT_EQ(test, 0, arm_smmu_nest_parent_join(&t->viommu[1]));
	i = parent_test_issued(t);
	arm_smmu_nest_parent_inv_range(&t->parent, 0x40000000, 3 * SZ_4K, SZ_4K,
				       true);
	parent_test_find(test, i, CMDQ_OP_TLBI_S12_VMALL, TEST_VMID_A);
	parent_test_find(test, i, CMDQ_OP_TLBI_S12_VMALL, TEST_VMID_A + 1);
	KUNIT_EXPECT_EQ(test, parent_test_op(t, i + 2), CMDQ_OP_CMD_SYNC);
	KUNIT_EXPECT_EQ(test, parent_test_issued(t), i + 3);

	/* A vIOMMU that left is left alone */
	arm_smmu_nest_parent_leave(&t->viommu[0]);
	i = parent_test_issued(t);
	arm_smmu_nest_parent_inv_range(&t->parent, 0x40000000, SZ_4K, SZ_4K, true);
	KUNIT_EXPECT_GT(test, parent_test_issued(t), i);
	for (; i < parent_test_issued(t); i++)
		if (parent_test_op(t, i) != CMDQ_OP_CMD_SYNC)
			KUNIT_EXPECT_EQ(test, parent_test_vmid(t, i),
					t->viommu[1].limits.vmid);
	arm_smmu_nest_parent_leave(&t->viommu[1]);
}

static void parent_test_all(struct kunit *test)
{
	struct parent_test *t = test->priv;
	unsigned int i, n;

	KUNIT_ASSERT_EQ(test, 0, arm_smmu_nest_parent_join(&t->viommu[0]));
	KUNIT_ASSERT_EQ(test, 0, arm_smmu_nest_parent_join(&t->viommu[1]));
	arm_smmu_nest_parent_inv_all(&t->parent);
	for (i = 0; i < 2; i++) {
		n = parent_test_find(test, 0, CMDQ_OP_TLBI_S12_VMALL,
				     t->viommu[i].limits.vmid);
		parent_test_find(test, n, CMDQ_OP_CMD_SYNC, 0);
	}
	KUNIT_EXPECT_EQ(test, parent_test_issued(t), 3);
}

/*
 * As many vIOMMUs as can be: one CMD_SYNC for all of them. With a queue that is stuck
 * it takes a second, with interrupts off.
 */
static void parent_test_many(struct kunit *test)
{
	struct parent_test *t = test->priv;
	struct arm_smmu_viommu *viommu;
	unsigned int i, n, from, round, syncs;

	viommu = kunit_kcalloc(test, ARM_SMMU_NEST_PARENT_VIOMMUS + 1,
			       sizeof(*viommu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, viommu);
	for (i = 0; i <= ARM_SMMU_NEST_PARENT_VIOMMUS; i++) {
		viommu[i] = t->viommu[0];
		viommu[i].limits.vmid = TEST_VMID_A + i;
		KUNIT_ASSERT_EQ(test, arm_smmu_nest_parent_join(&viommu[i]),
				i < ARM_SMMU_NEST_PARENT_VIOMMUS ? 0 : -ENOSPC);
	}

	for (round = 0; round < 2; round++) {
		from = parent_test_issued(t);
		if (round)
			arm_smmu_nest_parent_inv_all(&t->parent);
		else
			arm_smmu_nest_parent_inv_range(&t->parent, 0x40000000,
						       SZ_4K, SZ_4K, true);
		for (i = 0; i < ARM_SMMU_NEST_PARENT_VIOMMUS; i++)
			parent_test_find(test, from, CMDQ_OP_TLBI_S12_VMALL,
					 TEST_VMID_A + i);
		for (n = from, syncs = 0; n < parent_test_issued(t); n++)
			syncs += parent_test_op(t, n) == CMDQ_OP_CMD_SYNC;
		KUNIT_EXPECT_EQ(test, syncs, 1);
		KUNIT_EXPECT_EQ(test, parent_test_issued(t), from + i + 1);
		KUNIT_EXPECT_EQ(test, parent_test_op(t, from + i), CMDQ_OP_CMD_SYNC);
	}

	for (i = 0; i < ARM_SMMU_NEST_PARENT_VIOMMUS; i++)
		arm_smmu_nest_parent_leave(&viommu[i]);
}

/* The ATC of a device on a nested domain goes as a whole, others by address */
static void parent_test_atc(struct kunit *test)
{
	struct parent_test *t = test->priv;
	unsigned int n, nested = 0, plain = 0;

	t->master_domain[0].nested = true;
	for (n = 0; n < 2; n++) {
		t->master[n].ats_enabled = true;
		t->master[n].atc_in_use = true;
		list_add_tail(&t->master_domain[n].devices_elm,
			      &t->parent.devices);
		atomic_inc(&t->parent.nr_ats_masters);
	}

	arm_smmu_atc_inv_domain(&t->parent, 0x40001000, SZ_4K);

	for (n = 0; n < parent_test_issued(t); n++) {
		u64 w0 = parent_test_cmd(t, n, 0), w1 = parent_test_cmd(t, n, 1);

		if (parent_test_op(t, n) != CMDQ_OP_ATC_INV)
			continue;
		KUNIT_EXPECT_FALSE(test, w0 & (CMDQ_0_SSV | CMDQ_ATC_0_GLOBAL));
		if (FIELD_GET(CMDQ_ATC_0_SID, w0) == PARENT_TEST_SID) {
			KUNIT_EXPECT_EQ(test, w1, ATC_INV_SIZE_ALL);
			nested++;
		} else {
			KUNIT_EXPECT_EQ(test, w1, 0x40001000);
			plain++;
		}
	}
	KUNIT_EXPECT_EQ(test, nested, 1);
	KUNIT_EXPECT_EQ(test, plain, 1);
}

/* What a nest parent can't be */
static void parent_test_refused(struct kunit *test)
{
	struct parent_test *t = test->priv;
	struct arm_smmu_domain domain = {};

	KUNIT_EXPECT_EQ(test,
			arm_smmu_nest_parent_init(&domain, &t->master[0],
						  IOMMU_HWPT_ALLOC_DIRTY_TRACKING),
			-EOPNOTSUPP);
	t->smmu.features &= ~ARM_SMMU_FEAT_NESTING;
	KUNIT_EXPECT_EQ(test,
			arm_smmu_nest_parent_init(&domain, &t->master[0], 0),
			-EOPNOTSUPP);
	KUNIT_EXPECT_FALSE(test, domain.nest_parent);
}

static struct kunit_case parent_test_cases[] = {
	KUNIT_CASE(parent_test_range),
	KUNIT_CASE(parent_test_all),
	KUNIT_CASE(parent_test_many),
	KUNIT_CASE(parent_test_atc),
	KUNIT_CASE(parent_test_refused),
	{}
};

static struct kunit_suite parent_test_suite = {
	.name = "arm-smmu-v3-nest-parent",
	.init = parent_test_init,
	.test_cases = parent_test_cases,
};

kunit_test_suites(&nested_test_suite, &parent_test_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_LICENSE("GPL");
