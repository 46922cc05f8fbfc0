// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: what an attach makes of the STEs of a device, the memory attributes of
 * stage 2, what a vIOMMU is allowed to be, and what goes from TLBs and ATCs with an
 * unmap in a nest parent
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/bitfield.h>
#include <linux/io-pgtable.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-nested-model.h"
#include "arm-smmu-v3-viommu.h"

#define TEST_SID		0x30
#define TEST_VSID		0x99
#define TEST_CTXPTR		0x40010000ULL

#define TEST_STE_ABORT		(STRTAB_STE_0_V |			\
				 FIELD_PREP(STRTAB_STE_0_CFG,		\
					    STRTAB_STE_0_CFG_ABORT))
#define TEST_STE_BYPASS		(STRTAB_STE_0_V |			\
				 FIELD_PREP(STRTAB_STE_0_CFG,		\
					    STRTAB_STE_0_CFG_BYPASS))
#define TEST_STE_S1		(STRTAB_STE_0_V | TEST_CTXPTR |		\
				 FIELD_PREP(STRTAB_STE_0_CFG,		\
					    STRTAB_STE_0_CFG_S1_TRANS))
#define TEST_STE_EATS		FIELD_PREP(STRTAB_STE_1_EATS,		\
					   STRTAB_STE_1_EATS_TRANS)
#define TEST_ATC_INV		(CMDQ_OP_ATC_INV |			\
				 FIELD_PREP(CMDQ_ATC_0_SID, TEST_SID))

static const struct nested_model_conf conf_plain = {};

static const struct nested_model_conf conf_fwb = {
	.fwb = true,
};

static const struct nested_model_conf conf_ats = {
	.ats = true,
};

static const struct nested_model_conf conf_ats_stall = {
	.ats = true,
	.stall_model = IDR0_STALL_MODEL_FORCE,
};

static unsigned int ste_cfg(struct nested_model *m, u32 sid)
{
	return FIELD_GET(STRTAB_STE_0_CFG, nested_model_ste(m, sid, 0));
}

/*
 * Stage 2 descriptors
 */

/* MemAttr[3:0] of stage 2, without and with FEAT_S2FWB of Arm DDI 0487 */
#define PTE_MEMATTR		GENMASK_ULL(5, 2)
#define MEMATTR_DEV_NGNRE	0x1	/* both encodings */
#define MEMATTR_NC		0x5	/* both encodings */
#define MEMATTR_FWB_WB		0x6	/* S2FWB: Write-Back whatever stage 1 says */
#define MEMATTR_WB		0xf	/* no S2FWB: Write-Back, if stage 1 agrees */

#define PTE_TYPE		GENMASK_ULL(1, 0)
#define PTE_ADDR		GENMASK_ULL(47, 12)

/* The descriptor of a page, 4K granule: three levels from 1 on, or four from 0 */
static u64 s2_pte(struct io_pgtable_ops *ops, unsigned long iova)
{
	const struct io_pgtable_cfg *cfg = &io_pgtable_ops_to_pgtable(ops)->cfg;
	/* 64 - tsz bits in all; 9 each level but the first, which has the rest */
	unsigned int bits = 64 - cfg->arm_lpae_s2_cfg.vtcr.tsz;
	unsigned int sl0 = cfg->arm_lpae_s2_cfg.vtcr.sl;
	unsigned int shift = sl0 == 2 ? 39 : sl0 == 1 ? 30 : 21;
	const __le64 *table = phys_to_virt(cfg->arm_lpae_s2_cfg.vttbr);
	unsigned long index = (iova & GENMASK(bits - 1, 0)) >> shift;
	u64 pte;

	for (;;) {
		pte = le64_to_cpu(table[index]);
		if (shift == 12 || (pte & PTE_TYPE) != 3)
			return pte;
		table = phys_to_virt(pte & PTE_ADDR);
		shift -= 9;
		index = (iova >> shift) & 0x1ff;
	}
}

static const struct {
	int prot;
	u8 plain;
	u8 fwb;
} s2_prots[] = {
	{ IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE, MEMATTR_WB, MEMATTR_FWB_WB },
	{ IOMMU_READ | IOMMU_CACHE, MEMATTR_WB, MEMATTR_FWB_WB },
	{ IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_CACHE, MEMATTR_WB, MEMATTR_FWB_WB },
	{ IOMMU_READ | IOMMU_WRITE, MEMATTR_NC, MEMATTR_NC },
	{ IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO, MEMATTR_DEV_NGNRE,
	  MEMATTR_DEV_NGNRE },
	/* An MSI doorbell */
	{ IOMMU_WRITE | IOMMU_NOEXEC | IOMMU_MMIO, MEMATTR_DEV_NGNRE,
	  MEMATTR_DEV_NGNRE },
	/* A device's memory does not become cached by asking for it */
	{ IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO | IOMMU_CACHE, MEMATTR_DEV_NGNRE,
	  MEMATTR_DEV_NGNRE },
};

static void s2_expect_attrs(struct kunit *test, struct io_pgtable_ops *ops,
			    bool fwb)
{
	unsigned long iova;
	size_t mapped;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s2_prots); i++) {
		iova = 0x40000000 + i * SZ_4K;
		mapped = 0;
		KUNIT_ASSERT_EQ(test, 0,
				ops->map_pages(ops, iova, 0x80000000 + i * SZ_4K,
					       SZ_4K, 1, s2_prots[i].prot,
					       GFP_KERNEL, &mapped));
		KUNIT_EXPECT_EQ_MSG(test, FIELD_GET(PTE_MEMATTR,
						    s2_pte(ops, iova)),
				    fwb ? s2_prots[i].fwb : s2_prots[i].plain,
				    "prot 0x%x", s2_prots[i].prot);
		KUNIT_EXPECT_EQ(test, s2_pte(ops, iova) & PTE_ADDR,
				0x80000000 + i * SZ_4K);
		ops->unmap_pages(ops, iova, SZ_4K, 1, NULL);
	}

	/* A block is no different */
	mapped = 0;
	KUNIT_ASSERT_EQ(test, 0,
			ops->map_pages(ops, SZ_1G, SZ_1G, SZ_2M, 1,
				       IOMMU_READ | IOMMU_CACHE, GFP_KERNEL,
				       &mapped));
	KUNIT_EXPECT_EQ(test, s2_pte(ops, SZ_1G) & PTE_TYPE, 1);
	KUNIT_EXPECT_EQ(test, FIELD_GET(PTE_MEMATTR, s2_pte(ops, SZ_1G)),
			fwb ? MEMATTR_FWB_WB : MEMATTR_WB);
	ops->unmap_pages(ops, SZ_1G, SZ_2M, 1, NULL);
}

/* A nest parent has the encoding that its STE says, bit 89; others have none */
static void s2_test(struct kunit *test, const struct nested_model_conf *conf,
		    u32 flags, bool fwb)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, conf);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-s2", &sid, 1);
	struct iommu_domain *domain;
	struct io_pgtable_ops *ops;

	/* Without nesting the driver has it that stage 1 is preferred */
	if (!(flags & IOMMU_HWPT_ALLOC_NEST_PARENT))
		m->smmu.features &= ~ARM_SMMU_FEAT_TRANS_S1;
	domain = nested_model_parent(d, flags);
	ops = to_smmu_domain(domain)->pgtbl_ops;
	s2_expect_attrs(test, ops, fwb);

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(d, domain, NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, TEST_SID), STRTAB_STE_0_CFG_S2_TRANS);
	KUNIT_EXPECT_EQ(test, (nested_model_ste(m, TEST_SID, 1) >> 25) & 1, fwb);
}

static void s2_test_fwb(struct kunit *test)
{
	s2_test(test, &conf_fwb, IOMMU_HWPT_ALLOC_NEST_PARENT, true);
}

static void s2_test_no_fwb(struct kunit *test)
{
	s2_test(test, &conf_plain, IOMMU_HWPT_ALLOC_NEST_PARENT, false);
}

/* What is no nest parent is as it was */
static void s2_test_host(struct kunit *test)
{
	s2_test(test, &conf_fwb, 0, false);
}

/* S2FWB is about the tables, so it is in every STE that has them */
static void s2_test_nested(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_fwb);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-s2", &sid, 1);
	struct nested_model_viommu *v;
	struct iommu_domain *parent;

	/* With it CANWBS is not asked for */
	d->iommu.fwspec->flags &= ~IOMMU_FWSPEC_PCI_RC_CANWBS;
	parent = nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	v = nested_model_viommu(d, parent);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(v, d, TEST_VSID));

	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(d, nested_model_nested(v, TEST_STE_S1, 0),
					    NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, TEST_SID), STRTAB_STE_0_CFG_NESTED);
	KUNIT_EXPECT_TRUE(test, nested_model_ste(m, TEST_SID, 1) &
					STRTAB_STE_1_S2FWB);
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(d, nested_model_nested(v, TEST_STE_BYPASS,
								   0),
					    NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, TEST_SID), STRTAB_STE_0_CFG_S2_TRANS);
	KUNIT_EXPECT_TRUE(test, nested_model_ste(m, TEST_SID, 1) &
					STRTAB_STE_1_S2FWB);
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(d, nested_model_nested(v, TEST_STE_ABORT,
								   0),
					    NULL));
	KUNIT_EXPECT_EQ(test, nested_model_ste(m, TEST_SID, 1), 0);
}

/* Neither S2FWB nor CANWBS: no vIOMMU, and no device behind one */
static void s2_test_neither(struct kunit *test)
{
	const u32 sid = TEST_SID, sid2 = TEST_SID + 1;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-s2", &sid, 1);
	struct nested_model_dev *bad =
		nested_model_dev(m, "arm-smmu-v3-noncoherent", &sid2, 1);
	struct nested_model_viommu *v;
	struct iommu_domain *parent;

	bad->iommu.fwspec->flags &= ~IOMMU_FWSPEC_PCI_RC_CANWBS;
	KUNIT_EXPECT_NULL(test,
			  arm_smmu_ops.viommu_ops(bad->dev,
						  IOMMU_VIOMMU_TYPE_ARM_SMMUV3));

	parent = nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	v = nested_model_viommu(d, parent);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, nested_model_vdev(v, bad, TEST_VSID));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			nested_model_attach(bad,
					    nested_model_nested(v, TEST_STE_BYPASS,
								0),
					    NULL));
	/* The parent alone is the host's stage 2 */
	KUNIT_EXPECT_EQ(test, 0, nested_model_attach(bad, parent, NULL));
}

/* What a stage 2 can't do is no nest parent */
static void s2_test_dirty(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-s2", &sid, 1);
	struct iommu_domain *domain;

	domain = arm_smmu_ops.domain_alloc_user(d->dev,
						IOMMU_HWPT_ALLOC_NEST_PARENT |
						IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
						NULL, NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(domain), -EOPNOTSUPP);
}

static struct kunit_case s2_cases[] = {
	KUNIT_CASE(s2_test_fwb),
	KUNIT_CASE(s2_test_no_fwb),
	KUNIT_CASE(s2_test_host),
	KUNIT_CASE(s2_test_nested),
	KUNIT_CASE(s2_test_neither),
	KUNIT_CASE(s2_test_dirty),
	{}
};

static struct kunit_suite s2_suite = {
	.name = "arm-smmu-v3-nested-s2",
	.test_cases = s2_cases,
};

/*
 * Streams, vSIDs, VMIDs
 */

/* Three streams, one device: each STE is written, and told to the SMMU */
static void attach_test_streams(struct kunit *test)
{
	static const u32 sids[] = { TEST_SID, TEST_SID + 5, TEST_SID + 2 };
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d =
		nested_model_dev(m, "arm-smmu-v3-streams", sids,
				 ARRAY_SIZE(sids));
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);
	struct iommu_domain *bypass = nested_model_nested(v, TEST_STE_BYPASS, 0);
	struct iommu_domain *abort = nested_model_nested(v, TEST_STE_ABORT, 0);
	u64 evt[EVTQ_ENT_DWORDS] = {};
	unsigned int from, i;

	from = nested_model_issued(m);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(d, bypass, NULL));
	for (i = 0; i < ARRAY_SIZE(sids); i++) {
		KUNIT_EXPECT_EQ(test, ste_cfg(m, sids[i]),
				STRTAB_STE_0_CFG_S2_TRANS);
		KUNIT_EXPECT_EQ(test,
				FIELD_GET(STRTAB_STE_2_S2VMID,
					  nested_model_ste(m, sids[i], 2)),
				v->smmu.limits.vmid);
		KUNIT_EXPECT_GE(test,
				nested_model_count(m, from, CMDQ_OP_CFGI_STE,
						   sids[i]), 1);
	}
	/* and no other */
	KUNIT_EXPECT_EQ(test, nested_model_ste(m, TEST_SID + 1, 0), 0);

	/* Whichever stream it is, its events are the guest's */
	for (i = 0; i < ARRAY_SIZE(sids); i++) {
		evt[0] = FIELD_PREP(EVTQ_0_ID, 0x05) |
			 FIELD_PREP(EVTQ_0_SID, sids[i]);
		KUNIT_EXPECT_TRUE(test, arm_smmu_vevent_report(&m->smmu, evt));
	}

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(d, abort, NULL));
	for (i = 0; i < ARRAY_SIZE(sids); i++)
		KUNIT_EXPECT_EQ(test, ste_cfg(m, sids[i]),
				STRTAB_STE_0_CFG_ABORT);

	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(d, arm_smmu_ops.blocked_domain, NULL));
	for (i = 0; i < ARRAY_SIZE(sids); i++) {
		evt[0] = FIELD_PREP(EVTQ_0_ID, 0x05) |
			 FIELD_PREP(EVTQ_0_SID, sids[i]);
		KUNIT_EXPECT_FALSE(test, arm_smmu_vevent_report(&m->smmu, evt));
	}
}

/* A vSID stands for one stream, so such a device can't have a guest's stage 1 */
static void attach_test_streams_refused(struct kunit *test)
{
	static const u32 sids[] = { TEST_SID, TEST_SID + 1 };
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d =
		nested_model_dev(m, "arm-smmu-v3-streams", sids,
				 ARRAY_SIZE(sids));
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);
	struct nested_model_dev *none;
	unsigned int from;

	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, nested_model_vdev(v, d, TEST_VSID));
	none = nested_model_dev(m, "arm-smmu-v3-no-stream", sids, 0);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, nested_model_vdev(v, none, TEST_VSID));
	KUNIT_EXPECT_TRUE(test, xa_empty(&m->smmu.vdevs));

	from = nested_model_issued(m);
	KUNIT_EXPECT_EQ(test, -ENOENT,
			nested_model_attach(d, nested_model_nested(v, TEST_STE_S1, 0),
					    NULL));
	KUNIT_EXPECT_EQ(test, nested_model_issued(m), from);
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sids[0]), STRTAB_STE_0_CFG_ABORT);
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sids[1]), STRTAB_STE_0_CFG_ABORT);
	KUNIT_EXPECT_TRUE(test, xa_empty(&m->smmu.nested_sids));
}

/* A vSID has 32 bits, as the StreamID of a command and of an event has */
static void attach_test_long_vsid(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-vsid", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);

	KUNIT_EXPECT_EQ(test, -EINVAL, nested_model_vdev(v, d, BIT_ULL(32)));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			nested_model_vdev(v, d, BIT_ULL(32) | TEST_VSID));
	KUNIT_EXPECT_TRUE(test, xa_empty(&m->smmu.vdevs));
	KUNIT_EXPECT_EQ(test, 0, nested_model_vdev(v, d, U32_MAX));
}

/* The vDEVICE may come late, while the device is on bypass or abort */
static void attach_test_late_vdev(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-late", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);
	struct iommu_domain *s1 = nested_model_nested(v, TEST_STE_S1, 0);

	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(d, nested_model_nested(v, TEST_STE_ABORT,
								   0),
					    NULL));
	KUNIT_EXPECT_EQ(test, -ENOENT, nested_model_attach(d, s1, NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sid), STRTAB_STE_0_CFG_ABORT);
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(d, nested_model_nested(v, TEST_STE_BYPASS,
								   0),
					    NULL));
	KUNIT_EXPECT_EQ(test, -ENOENT, nested_model_attach(d, s1, NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sid), STRTAB_STE_0_CFG_S2_TRANS);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(v, d, TEST_VSID));
	KUNIT_EXPECT_EQ(test, 0, nested_model_attach(d, s1, NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sid), STRTAB_STE_0_CFG_NESTED);
}

/*
 * The core takes a device back to the stage 1 that its group is on, because another
 * one failed to leave it: that works without a vDEVICE, too. Nothing else does.
 */
static void attach_test_revert(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d =
		nested_model_dev(m, "arm-smmu-v3-revert", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);
	struct iommu_domain *s1 = nested_model_nested(v, TEST_STE_S1, 0);
	struct iommu_domain *other = nested_model_nested(v, TEST_STE_S1, 0);

	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(v, d, TEST_VSID));
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(d, s1, NULL));
	KUNIT_ASSERT_EQ(test, 0, parent->ops->attach_dev(parent, d->dev));
	KUNIT_ASSERT_NOT_NULL(test, xa_erase(&v->smmu.core.vdevs, TEST_VSID));
	KUNIT_EXPECT_EQ(test, -ENOENT, other->ops->attach_dev(other, d->dev));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sid), STRTAB_STE_0_CFG_S2_TRANS);
	KUNIT_EXPECT_EQ(test, 0, s1->ops->attach_dev(s1, d->dev));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sid), STRTAB_STE_0_CFG_NESTED);
}

/* The host's PASIDs need the host's stage 1 */
static void attach_test_pasids(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d =
		nested_model_dev(m, "arm-smmu-v3-pasids", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);
	struct iommu_domain *bypass = nested_model_nested(v, TEST_STE_BYPASS, 0);

	d->master.cd_table.used_ssids = 1;
	KUNIT_EXPECT_EQ(test, -EBUSY, nested_model_attach(d, bypass, NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(m, sid), STRTAB_STE_0_CFG_ABORT);
	KUNIT_EXPECT_TRUE(test, xa_empty(&m->smmu.nested_sids));
	d->master.cd_table.used_ssids = 0;
	KUNIT_EXPECT_EQ(test, 0, nested_model_attach(d, bypass, NULL));
}

/* Two vIOMMUs on a parent and one on another: three VMIDs beside the parents' */
static void attach_test_vmids(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-vmid", &sid, 1);
	struct iommu_domain *parent[2], *s1;
	struct nested_model_viommu *v[3];
	u16 vmids[5];
	unsigned int i, j;

	parent[0] = nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	parent[1] = nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	for (i = 0; i < 3; i++)
		v[i] = nested_model_viommu(d, parent[i / 2]);

	for (i = 0; i < 2; i++)
		vmids[i] = to_smmu_domain(parent[i])->s2_cfg.vmid;
	for (i = 0; i < 3; i++)
		vmids[2 + i] = v[i]->smmu.limits.vmid;
	for (i = 0; i < 5; i++) {
		KUNIT_EXPECT_NE(test, vmids[i], 0);
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_NE(test, vmids[i], vmids[j]);
	}

	/* Each with the VMID of its own and the stage 2 of its parent */
	for (i = 0; i < 3; i++) {
		s1 = nested_model_nested(v[i], TEST_STE_BYPASS, 0);
		KUNIT_ASSERT_EQ(test, 0, nested_model_attach(d, s1, NULL));
		KUNIT_EXPECT_EQ(test,
				FIELD_GET(STRTAB_STE_2_S2VMID,
					  nested_model_ste(m, sid, 2)),
				vmids[2 + i]);
		KUNIT_EXPECT_EQ(test,
				nested_model_ste(m, sid, 3),
				io_pgtable_ops_to_pgtable(
					to_smmu_domain(parent[i / 2])->pgtbl_ops)
					->cfg.arm_lpae_s2_cfg.vttbr);
		/* Where MSI doorbells are mapped */
		KUNIT_EXPECT_PTR_EQ(test, s1->ops->msi_domain(s1),
				    parent[i / 2]);
	}
}

/* Events of all streams that a VM drives may be merged, and of no others */
static void attach_test_mev(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-mev", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);
	struct iommu_domain *domains[4];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(v, d, TEST_VSID));
	domains[0] = parent;
	domains[1] = nested_model_nested(v, TEST_STE_BYPASS, 0);
	domains[2] = nested_model_nested(v, TEST_STE_S1, 0);
	/* The host's own stage 2, which it has without stage 1 only */
	m->smmu.features &= ~ARM_SMMU_FEAT_TRANS_S1;
	domains[3] = nested_model_parent(d, 0);

	for (i = 0; i < ARRAY_SIZE(domains); i++) {
		KUNIT_ASSERT_EQ(test, 0, nested_model_attach(d, domains[i], NULL));
		KUNIT_EXPECT_EQ_MSG(test,
				    !!(nested_model_ste(m, sid, 1) &
				       STRTAB_STE_1_MEV),
				    i != 3, "domain %u", i);
	}
}

static void attach_test_many_viommus(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-vmid", &sid, 1);
	struct iommu_domain *parent[2];
	struct nested_model_viommu *v;
	unsigned int i;
	int free;

	v = kunit_kcalloc(test, ARM_SMMU_NEST_PARENT_VIOMMUS + 1, sizeof(*v),
			  GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, v);
	for (i = 0; i < 2; i++)
		parent[i] = nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	for (i = 0; i < ARM_SMMU_NEST_PARENT_VIOMMUS; i++)
		KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(&v[i], d, parent[0]));
	free = ida_alloc_min(&m->smmu.vmid_map, 1, GFP_KERNEL);
	ida_free(&m->smmu.vmid_map, free);
	KUNIT_ASSERT_EQ(test, -ENOSPC, nested_model_viommu_init(&v[i], d, parent[0]));
	/* What is refused keeps no VMID */
	KUNIT_EXPECT_EQ(test, free,
			ida_alloc_min(&m->smmu.vmid_map, 1, GFP_KERNEL));
	ida_free(&m->smmu.vmid_map, free);

	/* It is a limit of the parent, and of those that are there */
	KUNIT_EXPECT_EQ(test, 0, nested_model_viommu_init(&v[i], d, parent[1]));
	nested_model_viommu_destroy(&v[0]);
	KUNIT_EXPECT_EQ(test, 0, nested_model_viommu_init(&v[0], d, parent[0]));
	for (i = 0; i <= ARM_SMMU_NEST_PARENT_VIOMMUS; i++)
		nested_model_viommu_destroy(&v[i]);
}

/* A VMID is invalidated before its number is free, and no number gets lost */
static void attach_test_vmid_reuse(struct kunit *test)
{
	const u32 sid = TEST_SID;
	/* 4 VMIDs: not 0, one for the parent, two for vIOMMUs */
	const struct nested_model_conf conf = { .vmid_bits = 2 };
	struct nested_model *m = nested_model(test, &conf);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-vmid", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct nested_model_viommu *v[3];
	struct iommu_domain *none;
	unsigned int from, i, n;
	u16 vmid;

	for (i = 0; i < 3; i++) {
		v[i] = kunit_kzalloc(test, sizeof(*v[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, v[i]);
	}
	for (i = 0; i < 10; i++) {
		KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(v[0], d, parent));
		KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(v[1], d, parent));
		KUNIT_EXPECT_EQ(test, -ENOSPC,
				nested_model_viommu_init(v[2], d, parent));
		/* Nor a nest parent, and what never had a VMID invalidates none */
		from = nested_model_issued(m);
		none = arm_smmu_ops.domain_alloc_user(d->dev,
						      IOMMU_HWPT_ALLOC_NEST_PARENT,
						      NULL, NULL);
		KUNIT_ASSERT_TRUE(test, IS_ERR(none));
		KUNIT_EXPECT_EQ(test, PTR_ERR(none), -ENOSPC);
		KUNIT_EXPECT_EQ(test, nested_model_issued(m), from);

		vmid = v[0]->smmu.limits.vmid;
		nested_model_viommu_destroy(v[0]);
		for (n = 0; from != nested_model_issued(m);
		     from = nested_model_next(from))
			n += nested_model_cmd(m, from, 0) ==
			     (CMDQ_OP_TLBI_S12_VMALL |
			      FIELD_PREP(CMDQ_TLBI_0_VMID, vmid));
		KUNIT_EXPECT_EQ(test, n, 1);

		KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(v[2], d, parent));
		KUNIT_EXPECT_EQ(test, v[2]->smmu.limits.vmid, vmid);
		nested_model_viommu_destroy(v[1]);
		nested_model_viommu_destroy(v[2]);
	}
}

/* The queue does not move; what is in it stays there */
static void model_stick(struct nested_model *m)
{
	struct arm_smmu_queue *q = &m->smmu.cmdq.q;
	u32 *cons = kunit_kzalloc(m->test, sizeof(*cons), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(m->test, cons);
	*cons = readl(q->prod_reg);
	q->cons_reg = (u32 __iomem *)cons;
}

static void model_unstick(struct nested_model *m)
{
	m->smmu.cmdq.q.cons_reg = m->smmu.cmdq.q.prod_reg;
}

/* Who waits for the queue to move on waits so often until it does, in no time */
#define STUCK_WAITS		5

struct stuck_test {
	ktime_t now;
	ktime_t since;
	unsigned int waits;
};

static ktime_t stuck_time(struct arm_smmu_device *smmu)
{
	struct stuck_test *t = kunit_get_current_test()->priv;

	t->now = ktime_add_us(t->now, ARM_SMMU_POLL_TIMEOUT_US / 10);
	return t->now;
}

static void stuck_sleep(struct arm_smmu_device *smmu)
{
	struct stuck_test *t = kunit_get_current_test()->priv;

	if (ktime_us_delta(t->now, t->since) < ARM_SMMU_POLL_TIMEOUT_US)
		return;
	t->since = t->now;
	if (++t->waits == STUCK_WAITS)
		model_unstick(container_of(smmu, struct nested_model, smmu));
}

static unsigned int count_vmall(struct nested_model *m, unsigned int from, u16 vmid)
{
	unsigned int n = 0;

	for (; from != nested_model_issued(m); from = nested_model_next(from))
		n += nested_model_cmd(m, from, 0) ==
		     (CMDQ_OP_TLBI_S12_VMALL | FIELD_PREP(CMDQ_TLBI_0_VMID, vmid));
	return n;
}

/*
 * A VMID is given to another only when its TLB entries are gone: the vIOMMU waits
 * for the queue to move on, or nobody gets the VMID any more.
 */
static void attach_test_vmid_stuck(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-vmid", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	struct nested_model_viommu *v[3];
	struct stuck_test stuck = {};
	unsigned int from, i;

	for (i = 0; i < 3; i++) {
		v[i] = kunit_kzalloc(test, sizeof(*v[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, v[i]);
	}
	test->priv = &stuck;
	kunit_activate_static_stub(test, arm_smmu_cmdq_time, stuck_time);
	kunit_activate_static_stub(test, arm_smmu_cmdq_sleep, stuck_sleep);

	/*
	 * Behind a command of the host's, as an ATC_INV of an unmap, and then behind what
	 * a guest's batch left in the queue when it timed out, and by a caller that is
	 * being killed: it waits all the same
	 */
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(v[0], d, parent));
		from = nested_model_issued(m);
		stuck.waits = 0;
		model_stick(m);
		if (i) {
			errs->abandoned[0].start = from;
			errs->abandoned[0].slots = 1;
			errs->num_abandoned = 1;
			sigaddset(&current->pending.signal, SIGKILL);
			set_tsk_thread_flag(current, TIF_SIGPENDING);
		}
		nested_model_viommu_destroy(v[0]);
		sigdelset(&current->pending.signal, SIGKILL);
		clear_tsk_thread_flag(current, TIF_SIGPENDING);
		KUNIT_EXPECT_EQ(test, stuck.waits, STUCK_WAITS);
		/* One that nobody waited for, and one more */
		KUNIT_EXPECT_EQ(test, count_vmall(m, from, v[0]->smmu.limits.vmid), 2);
		model_unstick(m);

		KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(v[1], d, parent));
		KUNIT_EXPECT_EQ(test, v[1]->smmu.limits.vmid, v[0]->smmu.limits.vmid);
		if (!i)
			nested_model_viommu_destroy(v[1]);
	}

	/* For good, for whatever reason */
	model_stick(m);
	nested_model_viommu_destroy(v[1]);
	model_unstick(m);
	KUNIT_ASSERT_EQ(test, 0, nested_model_viommu_init(v[2], d, parent));
	KUNIT_EXPECT_NE(test, v[2]->smmu.limits.vmid, v[1]->smmu.limits.vmid);
	nested_model_viommu_destroy(v[2]);
}

/*
 * A nest parent is of one SMMU: its VMID is from there, and an unmap invalidates
 * there.
 */
static void attach_test_other_smmu(struct kunit *test)
{
	const u32 sid = TEST_SID;
	struct nested_model *m = nested_model(test, &conf_plain);
	struct nested_model *other = nested_model(test, &conf_plain);
	struct nested_model_dev *d = nested_model_dev(m, "arm-smmu-v3-first", &sid, 1);
	struct nested_model_dev *d2 =
		nested_model_dev(other, "arm-smmu-v3-second", &sid, 1);
	struct iommu_domain *parent =
		nested_model_parent(d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct iommu_domain *plain = nested_model_parent(d, 0);
	struct nested_model_viommu *v = nested_model_viommu(d, parent);
	struct nested_model_viommu *v2 = kunit_kzalloc(test, sizeof(*v2), GFP_KERNEL);
	struct iommu_domain *bypass = nested_model_nested(v, TEST_STE_BYPASS, 0);

	KUNIT_ASSERT_NOT_NULL(test, v2);
	KUNIT_EXPECT_EQ(test, -EINVAL, nested_model_viommu_init(v2, d2, parent));
	KUNIT_EXPECT_EQ(test, -EINVAL, nested_model_viommu_init(v2, d, plain));
	KUNIT_EXPECT_EQ(test, -EINVAL, nested_model_vdev(v, d2, TEST_VSID));
	KUNIT_EXPECT_EQ(test, -EINVAL, nested_model_attach(d2, bypass, NULL));
	KUNIT_EXPECT_EQ(test, -EINVAL, nested_model_attach(d2, parent, NULL));
	/* Nothing of the second SMMU's is used up */
	KUNIT_EXPECT_TRUE(test, ida_is_empty(&other->smmu.vmid_map));
}

static struct kunit_case attach_cases[] = {
	KUNIT_CASE(attach_test_streams),
	KUNIT_CASE(attach_test_streams_refused),
	KUNIT_CASE(attach_test_long_vsid),
	KUNIT_CASE(attach_test_late_vdev),
	KUNIT_CASE(attach_test_revert),
	KUNIT_CASE(attach_test_pasids),
	KUNIT_CASE(attach_test_vmids),
	KUNIT_CASE(attach_test_mev),
	KUNIT_CASE(attach_test_many_viommus),
	KUNIT_CASE(attach_test_vmid_reuse),
	KUNIT_CASE(attach_test_vmid_stuck),
	KUNIT_CASE(attach_test_other_smmu),
	{}
};

static struct kunit_suite attach_suite = {
	.name = "arm-smmu-v3-nested-attach",
	.test_cases = attach_cases,
};

/*
 * ATS
 */

struct ats_test {
	struct nested_model *m;
	struct nested_model_dev *d;
	struct iommu_domain *parent;
	struct nested_model_viommu *v;
};

static struct ats_test *ats_setup(struct kunit *test,
				  const struct nested_model_conf *conf)
{
	struct ats_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->m = nested_model(test, conf);
	t->d = nested_model_pci_dev(t->m, TEST_SID);
	t->parent = nested_model_parent(t->d, IOMMU_HWPT_ALLOC_NEST_PARENT);
	t->v = nested_model_viommu(t->d, t->parent);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(t->v, t->d, TEST_VSID));
	return t;
}

static unsigned int ats_eats(struct ats_test *t)
{
	return FIELD_GET(STRTAB_STE_1_EATS, nested_model_ste(t->m, TEST_SID, 1));
}

/* The STE and the device agree, and this is what they say */
static void expect_ats(struct kunit *test, struct ats_test *t, bool on)
{
	KUNIT_EXPECT_EQ(test, ats_eats(t),
			on ? STRTAB_STE_1_EATS_TRANS : STRTAB_STE_1_EATS_ABT);
	KUNIT_EXPECT_EQ(test, !!(t->d->ats_ctrl & PCI_ATS_CTRL_ENABLE), on);
	KUNIT_EXPECT_EQ(test, !!t->d->master.ats_enabled, on);
}

/*
 * Attach to @domain, which turns ATS on or off: by one write to the device, which finds
 * EATS set in the STE, and one CFGI_STE. Returns the commands issued before.
 */
static unsigned int ats_switch(struct kunit *test, struct ats_test *t,
			       struct iommu_domain *domain, bool on)
{
	unsigned int writes = t->d->ats_writes, from = nested_model_issued(t->m);

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, domain, NULL));
	expect_ats(test, t, on);
	KUNIT_EXPECT_EQ(test, t->d->ats_writes, writes + 1);
	KUNIT_EXPECT_EQ(test, 1,
			nested_model_count(t->m, from, CMDQ_OP_CFGI_STE, TEST_SID));
	KUNIT_EXPECT_EQ(test, FIELD_GET(STRTAB_STE_1_EATS, t->d->ste_at_write),
			STRTAB_STE_1_EATS_TRANS);
	return from;
}

/*
 * On and off again with stage 1 in use, as a guest does it with an STE: the STE
 * changes by one write, and the device asks for translations only while it says
 * that it may.
 */
static void ats_test_switch(struct kunit *test)
{
	struct ats_test *t = ats_setup(test, &conf_ats);
	struct iommu_domain *off = nested_model_nested(t->v, TEST_STE_S1, 0);
	struct iommu_domain *on =
		nested_model_nested(t->v, TEST_STE_S1, TEST_STE_EATS);
	unsigned int from, i;

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, off, NULL));
	expect_ats(test, t, false);

	for (i = 0; i < 2; i++) {
		/* First the STE, then the device */
		ats_switch(test, t, on, true);
		/* First the device, then the STE, and nothing is left in the ATC */
		from = ats_switch(test, t, off, false);
		KUNIT_EXPECT_EQ(test, t->d->cmds_at_write, from);
		KUNIT_EXPECT_GE(test,
				nested_model_count(t->m, from, CMDQ_OP_ATC_INV,
						   TEST_SID), 1);
	}

	/* Another of the guest's STEs with ATS: it stays on, the ATC is emptied */
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, on, NULL));
	i = t->d->ats_writes;
	from = nested_model_issued(t->m);
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d,
					    nested_model_nested(t->v, TEST_STE_S1,
								TEST_STE_EATS),
					    NULL));
	expect_ats(test, t, true);
	KUNIT_EXPECT_EQ(test, t->d->ats_writes, i);
	KUNIT_EXPECT_GE(test,
			nested_model_count(t->m, from, CMDQ_OP_ATC_INV, TEST_SID),
			1);
}

static unsigned int ats_unmap_invs;

static void ats_unmap(struct nested_model_dev *d)
{
	unsigned int from = nested_model_issued(d->m);

	arm_smmu_atc_inv_domain(to_smmu_domain(d->at_write_domain), 0x40000000,
				SZ_4K);
	ats_unmap_invs = nested_model_count(d->m, from, CMDQ_OP_ATC_INV, TEST_SID);
}

/*
 * The host unmaps when the device has just been told to use ATS, or not to use it
 * any more: what it fetched until then goes.
 */
static void ats_test_unmap(struct kunit *test)
{
	struct ats_test *t = ats_setup(test, &conf_ats);
	struct iommu_domain *off = nested_model_nested(t->v, TEST_STE_S1, 0);
	struct iommu_domain *on =
		nested_model_nested(t->v, TEST_STE_S1, TEST_STE_EATS);
	unsigned int i;

	t->d->at_write_domain = t->parent;
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, off, NULL));
	for (i = 0; i < 4; i++) {
		ats_unmap_invs = 0;
		t->d->at_write = ats_unmap;
		KUNIT_ASSERT_EQ(test, 0,
				nested_model_attach(t->d, i & 1 ? off : on, NULL));
		KUNIT_EXPECT_EQ(test, t->d->ats_writes, i + 1);
		KUNIT_EXPECT_GE_MSG(test, ats_unmap_invs, 1, "%s",
				    i & 1 ? "off" : "on");
		t->d->at_write = NULL;
	}
	/* Off means that there is nothing to invalidate */
	ats_unmap(t->d);
	KUNIT_EXPECT_EQ(test, 0, ats_unmap_invs);
}

/* Only stage 1 and the host's own stage 2 have it, the VMM's bypass does not */
static void ats_test_configs(struct kunit *test)
{
	struct ats_test *t = ats_setup(test, &conf_ats);
	struct iommu_domain *on =
		nested_model_nested(t->v, TEST_STE_S1, TEST_STE_EATS);
	struct iommu_domain *bypass =
		nested_model_nested(t->v, TEST_STE_BYPASS, TEST_STE_EATS);
	struct iommu_domain *abort =
		nested_model_nested(t->v, TEST_STE_ABORT, TEST_STE_EATS);

	KUNIT_EXPECT_FALSE(test,
			   arm_smmu_ops.capable(t->d->dev, IOMMU_CAP_NO_ATS));
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, t->parent, NULL));
	expect_ats(test, t, true);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, bypass, NULL));
	expect_ats(test, t, false);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, on, NULL));
	expect_ats(test, t, true);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, abort, NULL));
	expect_ats(test, t, false);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, on, NULL));
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->d, arm_smmu_ops.blocked_domain,
					    NULL));
	expect_ats(test, t, false);
}

/* Whatever the VMM goes to from where, the SMMU never finds the STE invalid */
static void ats_test_hitless(struct kunit *test)
{
	static const struct nested_model_conf *const confs[] = {
		&conf_plain, &conf_ats,
	};
	unsigned int i, from, to;

	for (i = 0; i < ARRAY_SIZE(confs); i++) {
		struct ats_test *t = ats_setup(test, confs[i]);
		struct iommu_domain *domains[] = {
			t->parent,
			nested_model_nested(t->v, TEST_STE_BYPASS, 0),
			nested_model_nested(t->v, TEST_STE_ABORT, 0),
			nested_model_nested(t->v, TEST_STE_S1, 0),
			nested_model_nested(t->v, TEST_STE_S1, TEST_STE_EATS),
		};

		for (from = 0; from < ARRAY_SIZE(domains); from++) {
			for (to = 0; to < ARRAY_SIZE(domains); to++) {
				KUNIT_ASSERT_EQ(test, 0,
						nested_model_attach(t->d,
								    domains[from],
								    NULL));
				t->m->ste_invalid = 0;
				KUNIT_ASSERT_EQ(test, 0,
						nested_model_attach(t->d,
								    domains[to],
								    NULL));
				KUNIT_EXPECT_EQ_MSG(test, t->m->ste_invalid, 0,
						    "%u to %u", from, to);
			}
		}
		KUNIT_EXPECT_GT(test, t->m->ste_looks, 0);
	}
}

/* What the guest asks for and is not there */
static void ats_test_absent(struct kunit *test)
{
	static const char *const what[] = { "SMMU", "root complex", "device" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(what); i++) {
		struct ats_test *t = ats_setup(test, i ? &conf_ats : &conf_plain);
		struct iommu_domain *on =
			nested_model_nested(t->v, TEST_STE_S1, TEST_STE_EATS);

		if (i == 1)
			t->d->iommu.fwspec->flags &= ~IOMMU_FWSPEC_PCI_RC_ATS;
		if (i == 2)
			t->d->pdev.ats_cap = 0;
		KUNIT_EXPECT_TRUE(test, arm_smmu_ops.capable(t->d->dev,
							     IOMMU_CAP_NO_ATS));
		KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, on, NULL));
		KUNIT_EXPECT_EQ_MSG(test, ste_cfg(t->m, TEST_SID),
				    STRTAB_STE_0_CFG_NESTED, "no ATS in the %s",
				    what[i]);
		expect_ats(test, t, false);
		KUNIT_EXPECT_EQ(test, t->d->ats_writes, 0);
	}
}

/* An SMMU whose stage 2 faults always stall can't have it, as EATS is ILLEGAL then */
static void ats_test_stalls(struct kunit *test)
{
	struct ats_test *t = ats_setup(test, &conf_ats_stall);
	struct iommu_domain *on =
		nested_model_nested(t->v, TEST_STE_S1, TEST_STE_EATS);

	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->d, on, NULL));
	KUNIT_EXPECT_EQ(test, ste_cfg(t->m, TEST_SID), STRTAB_STE_0_CFG_NESTED);
	KUNIT_EXPECT_TRUE(test, nested_model_ste(t->m, TEST_SID, 2) &
					STRTAB_STE_2_S2S);
	expect_ats(test, t, false);
	KUNIT_EXPECT_EQ(test, t->d->ats_writes, 0);
}

/* One ATC_INV of the guest's; returns its errno and what the SMMU got */
static int ats_inv(struct kunit *test, struct ats_test *t, u64 w0, u64 w1,
		   u64 *host)
{
	const __le64 cmd[2] = {
		cpu_to_le64(w0 | CMDQ_OP_ATC_INV |
			    FIELD_PREP(CMDQ_ATC_0_SID, TEST_VSID)),
		cpu_to_le64(w1),
	};
	struct iommu_user_data_array array = {
		.type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.uptr = (void __user *)t->m->uaddr,
		.entry_len = sizeof(cmd),
		.entry_num = 1,
	};
	struct iommufd_invalidate_report report = {};
	unsigned int from = nested_model_issued(t->m);
	int ret;

	KUNIT_ASSERT_EQ(test, 0, copy_to_user(array.uptr, cmd, sizeof(cmd)));
	ret = t->v->smmu.core.ops->cache_invalidate_user(&t->v->smmu.core, &array,
							 &report);
	KUNIT_EXPECT_EQ(test, array.entry_num, !ret);
	KUNIT_ASSERT_EQ(test,
			nested_model_count(t->m, from, CMDQ_OP_ATC_INV, ~0U), !ret);
	/* CMD_SYNCs around it are the driver's business */
	while (!ret && FIELD_GET(CMDQ_0_OP, nested_model_cmd(t->m, from, 0)) !=
			       CMDQ_OP_ATC_INV)
		from = nested_model_next(from);
	host[0] = nested_model_cmd(t->m, from, 0);
	host[1] = nested_model_cmd(t->m, from, 1);
	return ret;
}

/* ATC_INV reaches a device with ATS, as the command of its StreamID */
static void ats_test_inv(struct kunit *test)
{
	struct ats_test *t = ats_setup(test, &conf_ats);
	u64 host[2];

	KUNIT_EXPECT_EQ(test, 0, ats_inv(test, t, 0, TEST_CTXPTR | 3, host));
	KUNIT_EXPECT_EQ(test, host[0], TEST_ATC_INV);
	KUNIT_EXPECT_EQ(test, host[1], TEST_CTXPTR | 3);
	/* IDR1.SSIDSIZE is 0 */
	KUNIT_EXPECT_EQ(test, -EIO, ats_inv(test, t, CMDQ_0_SSV, 0, host));

	t->d->pdev.ats_cap = 0;
	KUNIT_EXPECT_EQ(test, -EIO, ats_inv(test, t, 0, 0, host));
	t->d->pdev.ats_cap = 0x100;
	t->d->iommu.fwspec->flags &= ~IOMMU_FWSPEC_PCI_RC_ATS;
	KUNIT_EXPECT_EQ(test, -EIO, ats_inv(test, t, 0, 0, host));

	t = ats_setup(test, &conf_plain);
	KUNIT_EXPECT_EQ(test, -EIO, ats_inv(test, t, 0, 0, host));
}

/* With PASIDs of 3 bits */
static void ats_test_inv_pasid(struct kunit *test)
{
	const struct nested_model_conf conf = { .ats = true, .ssid_bits = 3 };
	struct ats_test *t = ats_setup(test, &conf);
	u64 ssid, host[2];

	/* A device that has none must not be sent one */
	KUNIT_EXPECT_EQ(test, 0,
			ats_inv(test, t, CMDQ_0_SSV | CMDQ_ATC_0_GLOBAL |
					 FIELD_PREP(CMDQ_ATC_0_SSID, 5), 0, host));
	KUNIT_EXPECT_EQ(test, host[0], TEST_ATC_INV);

	t->d->master.ssid_bits = conf.ssid_bits;
	for (ssid = 0; ssid < 16; ssid++) {
		u64 w0 = CMDQ_0_SSV | FIELD_PREP(CMDQ_ATC_0_SSID, ssid);

		KUNIT_EXPECT_EQ_MSG(test, ats_inv(test, t, w0, 0, host),
				    ssid < 8 ? 0 : -EIO, "PASID %llu", ssid);
		if (ssid < 8)
			KUNIT_EXPECT_EQ(test, host[0], w0 | TEST_ATC_INV);
	}
	/* Not asked for, not passed */
	KUNIT_EXPECT_EQ(test, 0,
			ats_inv(test, t, FIELD_PREP(CMDQ_ATC_0_SSID, 5) |
					 CMDQ_ATC_0_GLOBAL, 0, host));
	KUNIT_EXPECT_EQ(test, host[0], TEST_ATC_INV);
}

static struct kunit_case ats_cases[] = {
	KUNIT_CASE(ats_test_switch),
	KUNIT_CASE(ats_test_unmap),
	KUNIT_CASE(ats_test_configs),
	KUNIT_CASE(ats_test_hitless),
	KUNIT_CASE(ats_test_absent),
	KUNIT_CASE(ats_test_stalls),
	KUNIT_CASE(ats_test_inv),
	KUNIT_CASE(ats_test_inv_pasid),
	{}
};

static struct kunit_suite ats_suite = {
	.name = "arm-smmu-v3-nested-ats",
	.test_cases = ats_cases,
};

/*
 * Unmaps in a nest parent, by what the IOMMU core calls
 */

#define UNMAP_IOVA		0x40000000UL
#define UNMAP_PADDR		0x80000000UL
#define UNMAP_SID		(TEST_SID + 1)

/*
 * struct unmap_test - A nest parent with two vIOMMUs and two devices
 * @guest: A device on stage 1 on the first vIOMMU, with ATS
 * @plain: A device on the nest parent itself, with ATS
 */
struct unmap_test {
	struct nested_model *m;
	struct iommu_domain *parent;
	struct nested_model_viommu *v[2];
	struct iommu_domain *s1;
	struct nested_model_dev *guest;
	struct nested_model_dev *plain;
};

static struct unmap_test *unmap_setup(struct kunit *test)
{
	struct unmap_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	t->m = nested_model(test, &conf_ats);
	t->guest = nested_model_pci_dev(t->m, TEST_SID);
	t->plain = nested_model_pci_dev(t->m, UNMAP_SID);
	t->parent = nested_model_parent(t->guest, IOMMU_HWPT_ALLOC_NEST_PARENT);
	for (i = 0; i < 2; i++)
		t->v[i] = nested_model_viommu(t->guest, t->parent);
	KUNIT_ASSERT_EQ(test, 0, nested_model_vdev(t->v[0], t->guest, TEST_VSID));
	t->s1 = nested_model_nested(t->v[0], TEST_STE_S1, TEST_STE_EATS);
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->guest, t->s1, NULL));
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->plain, t->parent, NULL));
	return t;
}

/* Map and unmap: returns what had been issued before the unmap */
static unsigned int unmap(struct kunit *test, struct unmap_test *t,
			  struct iommu_domain *domain, size_t mapped, size_t size)
{
	unsigned int from;
	size_t done;

	for (done = 0; done < size; done += mapped)
		KUNIT_ASSERT_EQ(test, 0,
				iommu_map(domain, UNMAP_IOVA + done,
					  UNMAP_PADDR + done, mapped,
					  IOMMU_READ | IOMMU_WRITE, GFP_KERNEL));
	from = nested_model_issued(t->m);
	KUNIT_EXPECT_EQ(test, size, iommu_unmap(domain, UNMAP_IOVA, size));
	return from;
}

/* The ATC_INVs of a stream from @from on, and the last one's address and size */
static unsigned int unmap_atc(struct unmap_test *t, unsigned int from, u32 sid,
			      u64 *w1)
{
	unsigned int n;

	for (n = from; n != nested_model_issued(t->m); n = nested_model_next(n))
		if (FIELD_GET(CMDQ_0_OP, nested_model_cmd(t->m, n, 0)) ==
			    CMDQ_OP_ATC_INV &&
		    FIELD_GET(CMDQ_ATC_0_SID, nested_model_cmd(t->m, n, 0)) == sid)
			*w1 = nested_model_cmd(t->m, n, 1);
	return nested_model_count(t->m, from, CMDQ_OP_ATC_INV, sid);
}

/* How far the invalidation of a VMID is */
enum unmap_step {
	UNMAP_NONE,
	UNMAP_S2,	/* its stage 2 entries */
	UNMAP_S2_SYNC,	/* and the SMMU is through with them */
	UNMAP_ALL,	/* those that have stage 1 too */
	UNMAP_DONE,
};

static enum unmap_step unmap_next_step(enum unmap_step step, u8 op)
{
	switch (op) {
	case CMDQ_OP_TLBI_S2_IPA:
		return UNMAP_S2;
	case CMDQ_OP_TLBI_NH_ALL:
		return step == UNMAP_S2_SYNC ? UNMAP_ALL : step;
	case CMDQ_OP_TLBI_S12_VMALL:
		return UNMAP_ALL;
	case CMDQ_OP_CMD_SYNC:
		if (step == UNMAP_S2)
			return UNMAP_S2_SYNC;
		return step == UNMAP_ALL ? UNMAP_DONE : step;
	}
	return step;
}

/*
 * The TLBs first, of the vIOMMUs' VMIDs with what combines both stages and of the
 * parent's own. ATCs last, as the devices would ask for the same again. All that
 * @times.
 */
static void unmap_expect(struct kunit *test, struct unmap_test *t,
			 unsigned int from, unsigned int times, u64 plain_w1)
{
	const u16 vmids[3] = {
		t->v[0]->smmu.limits.vmid, t->v[1]->smmu.limits.vmid,
		to_smmu_domain(t->parent)->s2_cfg.vmid,
	};
	enum unmap_step steps[3] = {};
	unsigned int n, i;
	u64 w0, w1;

	for (n = from; n != nested_model_issued(t->m); n = nested_model_next(n)) {
		w0 = nested_model_cmd(t->m, n, 0);
		if (FIELD_GET(CMDQ_0_OP, w0) == CMDQ_OP_ATC_INV) {
			for (i = 0; i < 2; i++)
				KUNIT_EXPECT_EQ(test, steps[i],
						t->v[i]->made ? UNMAP_DONE :
								UNMAP_NONE);
			KUNIT_EXPECT_TRUE(test,
					  steps[2] == UNMAP_S2_SYNC ||
					  steps[2] == UNMAP_DONE);
			continue;
		}
		for (i = 0; i < 3; i++)
			if (FIELD_GET(CMDQ_0_OP, w0) == CMDQ_OP_CMD_SYNC ||
			    FIELD_GET(CMDQ_TLBI_0_VMID, w0) == vmids[i])
				steps[i] = unmap_next_step(steps[i],
							   FIELD_GET(CMDQ_0_OP, w0));
	}

	KUNIT_EXPECT_EQ(test, times, unmap_atc(t, from, TEST_SID, &w1));
	KUNIT_EXPECT_EQ(test, w1, ATC_INV_SIZE_ALL);
	KUNIT_EXPECT_EQ(test, times, unmap_atc(t, from, UNMAP_SID, &w1));
	KUNIT_EXPECT_EQ(test, w1, plain_w1);
}

/* The TLBI_S2_IPAs from @from on are of the address; so many are for tables, or pages */
static void unmap_expect_ipas(struct kunit *test, struct unmap_test *t,
			      unsigned int from, unsigned int tables,
			      unsigned int pages)
{
	unsigned int n, num[2] = {};

	for (n = from; n != nested_model_issued(t->m); n = nested_model_next(n)) {
		u64 w1 = nested_model_cmd(t->m, n, 1);

		if (FIELD_GET(CMDQ_0_OP, nested_model_cmd(t->m, n, 0)) !=
		    CMDQ_OP_TLBI_S2_IPA)
			continue;
		KUNIT_EXPECT_EQ(test, w1 & CMDQ_TLBI_1_IPA_MASK, UNMAP_IOVA);
		num[!!(w1 & CMDQ_TLBI_1_LEAF)]++;
	}
	KUNIT_EXPECT_EQ(test, num[0], tables);
	KUNIT_EXPECT_EQ(test, num[1], pages);
}

static void unmap_test_page(struct kunit *test)
{
	struct unmap_test *t = unmap_setup(test);
	unsigned int from = unmap(test, t, t->parent, SZ_4K, SZ_4K);

	/* The parent's own; of the vIOMMUs everything goes */
	unmap_expect_ipas(test, t, from, 0, 1);
	unmap_expect(test, t, from, 1, UNMAP_IOVA);

	/* A vIOMMU that is gone has nothing left, one that is alone loses less */
	nested_model_viommu_destroy(t->v[1]);
	from = unmap(test, t, t->parent, SZ_4K, SZ_4K);
	unmap_expect_ipas(test, t, from, 0, 2);
	unmap_expect(test, t, from, 1, UNMAP_IOVA);

	/* The queue may be stuck, which must not keep RCU's grace periods from ending */
	KUNIT_EXPECT_EQ(test, t->m->cmds_in_rcu, 0);
}

/* A table goes with its pages: first that, as its memory is about to be free, then they */
static void unmap_test_table(struct kunit *test)
{
	struct unmap_test *t = unmap_setup(test);
	unsigned int from;

	t->m->smmu.features |= ARM_SMMU_FEAT_RANGE_INV;
	from = unmap(test, t, t->parent, SZ_4K, SZ_2M);
	unmap_expect_ipas(test, t, from, 1, 1);
	unmap_expect(test, t, from, 2, UNMAP_IOVA | FIELD_PREP(CMDQ_ATC_1_SIZE, 9));

	nested_model_viommu_destroy(t->v[1]);
	from = unmap(test, t, t->parent, SZ_4K, SZ_2M);
	unmap_expect_ipas(test, t, from, 2, 2);
	unmap_expect(test, t, from, 2, UNMAP_IOVA | FIELD_PREP(CMDQ_ATC_1_SIZE, 9));
}

static void unmap_test_flush(struct kunit *test)
{
	struct unmap_test *t = unmap_setup(test);
	unsigned int from = nested_model_issued(t->m);

	iommu_flush_iotlb_all(t->parent);
	unmap_expect(test, t, from, 1, ATC_INV_SIZE_ALL);
}

/* What an unmap in @parent does to the device: nothing, a page, or all of its ATC */
static void unmap_expect_atc(struct kunit *test, struct unmap_test *t,
			     struct iommu_domain *parent, unsigned int num, u64 want)
{
	unsigned int from = unmap(test, t, parent, SZ_4K, SZ_4K);
	u64 w1 = want;

	KUNIT_EXPECT_EQ(test, num, unmap_atc(t, from, TEST_SID, &w1));
	KUNIT_EXPECT_EQ(test, w1, want);
}

/* It moves between the parent and stage 1 on it, both of which are in one list */
static void unmap_test_moves(struct kunit *test)
{
	struct unmap_test *t = unmap_setup(test);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		unmap_expect_atc(test, t, t->parent, 1, ATC_INV_SIZE_ALL);
		KUNIT_ASSERT_EQ(test, 0,
				nested_model_attach(t->guest, t->parent, NULL));
		unmap_expect_atc(test, t, t->parent, 1, UNMAP_IOVA);
		KUNIT_ASSERT_EQ(test, 0,
				nested_model_attach(t->guest, t->s1, NULL));
	}
	KUNIT_ASSERT_EQ(test, 0,
			nested_model_attach(t->guest, arm_smmu_ops.blocked_domain,
					    NULL));
	unmap_expect_atc(test, t, t->parent, 0, 0);
}

/*
 * Another device of the group failed to attach, so the core takes this one back.
 * Meanwhile it says that the group has not left the old domain.
 */
static void unmap_test_revert(struct kunit *test)
{
	struct unmap_test *t = unmap_setup(test);
	struct iommu_domain *other =
		nested_model_parent(t->guest, IOMMU_HWPT_ALLOC_NEST_PARENT);
	struct iommu_domain *domains[] = { t->parent, other, t->s1 };
	struct device *dev = t->guest->dev;
	unsigned int old, new;

	/* In the other one as well there is a device with an ATC */
	KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->plain, other, NULL));
	for (old = 0; old < ARRAY_SIZE(domains); old++) {
		KUNIT_ASSERT_EQ(test, 0,
				nested_model_attach(t->guest, domains[old], NULL));
		for (new = 0; new < ARRAY_SIZE(domains); new++) {
			KUNIT_ASSERT_EQ(test, 0,
					domains[new]->ops->attach_dev(domains[new],
								      dev));
			KUNIT_ASSERT_PTR_EQ(test, iommu_get_domain_for_dev(dev),
					    domains[old]);
			KUNIT_ASSERT_EQ(test, 0,
					domains[old]->ops->attach_dev(domains[old],
								      dev));
			if (old == 1) {
				unmap_expect_atc(test, t, other, 1, UNMAP_IOVA);
				unmap_expect_atc(test, t, t->parent, 0, 0);
			} else {
				unmap_expect_atc(test, t, other, 0, 0);
				unmap_expect_atc(test, t, t->parent, 1,
						 old ? ATC_INV_SIZE_ALL :
						       UNMAP_IOVA);
			}
		}
	}
}

/* A guest that turned ATS off gets no ATC_INV on account of another device */
static void unmap_test_ats_off(struct kunit *test)
{
	struct unmap_test *t = unmap_setup(test);
	struct iommu_domain *off = nested_model_nested(t->v[0], TEST_STE_S1, 0);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->guest, off, NULL));
		unmap_expect_atc(test, t, t->parent, 0, 0);
		KUNIT_ASSERT_EQ(test, 0, nested_model_attach(t->guest, t->s1, NULL));
		unmap_expect_atc(test, t, t->parent, 1, ATC_INV_SIZE_ALL);
	}
}

static struct kunit_case unmap_cases[] = {
	KUNIT_CASE(unmap_test_page),
	KUNIT_CASE(unmap_test_table),
	KUNIT_CASE(unmap_test_flush),
	KUNIT_CASE(unmap_test_moves),
	KUNIT_CASE(unmap_test_revert),
	KUNIT_CASE(unmap_test_ats_off),
	{}
};

static struct kunit_suite unmap_suite = {
	.name = "arm-smmu-v3-nested-unmap",
	.test_cases = unmap_cases,
};

kunit_test_suites(&s2_suite, &attach_suite, &ats_suite, &unmap_suite);
