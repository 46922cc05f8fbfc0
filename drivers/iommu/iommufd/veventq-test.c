// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the vEVENTQ's arithmetic and of what IOMMU drivers call
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/rculist.h>

#include "iommufd_private.h"

static void expect_record(struct kunit *test, struct iommufd_veventq_ring *ring,
			  u32 slot)
{
	u32 pos = U32_MAX;

	KUNIT_EXPECT_EQ(test, iommufd_veventq_ring_peek(ring, &pos),
			IOMMUFD_VEVENTQ_RECORD);
	KUNIT_EXPECT_EQ(test, pos, slot);
}

static void expect_lost(struct kunit *test, struct iommufd_veventq_ring *ring,
			u32 sequence)
{
	u32 pos = U32_MAX;

	KUNIT_EXPECT_EQ(test, iommufd_veventq_ring_peek(ring, &pos),
			IOMMUFD_VEVENTQ_LOST);
	KUNIT_EXPECT_EQ(test, pos, sequence);
}

static void expect_empty(struct kunit *test, struct iommufd_veventq_ring *ring)
{
	u32 pos;

	KUNIT_EXPECT_EQ(test, iommufd_veventq_ring_peek(ring, &pos),
			IOMMUFD_VEVENTQ_EMPTY);
}

static void expect_push(struct kunit *test, struct iommufd_veventq_ring *ring,
			u32 want_slot, u32 want_sequence)
{
	u32 sequence = U32_MAX, slot = U32_MAX;

	KUNIT_EXPECT_TRUE(test,
			  iommufd_veventq_ring_push(ring, &slot, &sequence));
	KUNIT_EXPECT_EQ(test, slot, want_slot);
	KUNIT_EXPECT_EQ(test, sequence, want_sequence);
}

static void expect_push_lost(struct kunit *test,
			     struct iommufd_veventq_ring *ring,
			     u32 want_sequence)
{
	u32 sequence = U32_MAX, slot = U32_MAX;

	KUNIT_EXPECT_FALSE(test,
			   iommufd_veventq_ring_push(ring, &slot, &sequence));
	KUNIT_EXPECT_EQ(test, slot, U32_MAX);
	KUNIT_EXPECT_EQ(test, sequence, want_sequence);
}

/* The second half of a read, without the peek */
static void read_record(struct iommufd_veventq_ring *ring)
{
	iommufd_veventq_ring_consume(ring, IOMMUFD_VEVENTQ_RECORD, ring->head);
}

static void read_lost(struct iommufd_veventq_ring *ring, u32 sequence)
{
	iommufd_veventq_ring_consume(ring, IOMMUFD_VEVENTQ_LOST, sequence);
}

static void ring_sequence(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, iommufd_vevent_seq_next(0), 1);
	KUNIT_EXPECT_EQ(test, iommufd_vevent_seq_next(INT_MAX - 1), INT_MAX);
	KUNIT_EXPECT_EQ(test, iommufd_vevent_seq_next(INT_MAX), 0);
	KUNIT_EXPECT_EQ(test, iommufd_vevent_seq_prev(0), INT_MAX);
	KUNIT_EXPECT_EQ(test, iommufd_vevent_seq_prev(1), 0);
	KUNIT_EXPECT_EQ(test, iommufd_vevent_seq_prev(INT_MAX), INT_MAX - 1);
}

static void ring_in_order(struct kunit *test)
{
	struct iommufd_veventq_ring ring;
	u32 i;

	iommufd_veventq_ring_init(&ring, 3);
	expect_empty(test, &ring);
	/* One to three records at a time, across the end of the ring */
	for (i = 0; i != 6; i++) {
		expect_push(test, &ring, (2 * i) % 3, 2 * i);
		expect_push(test, &ring, (2 * i + 1) % 3, 2 * i + 1);
		expect_record(test, &ring, (2 * i) % 3);
		/* Without a consume it stays */
		expect_record(test, &ring, (2 * i) % 3);
		read_record(&ring);
		expect_record(test, &ring, (2 * i + 1) % 3);
		read_record(&ring);
		expect_empty(test, &ring);
	}
}

static void ring_lost_at_tail(struct kunit *test)
{
	struct iommufd_veventq_ring ring;

	iommufd_veventq_ring_init(&ring, 1);
	expect_push(test, &ring, 0, 0);
	expect_push_lost(test, &ring, 1);
	expect_push_lost(test, &ring, 2);
	expect_push_lost(test, &ring, 3);

	/* After all records, and once, whatever its length */
	expect_record(test, &ring, 0);
	read_record(&ring);
	expect_lost(test, &ring, 3);
	expect_lost(test, &ring, 3);
	read_lost(&ring, 3);
	expect_empty(test, &ring);

	expect_push(test, &ring, 0, 4);
}

static void ring_lost_shown_by_gap(struct kunit *test)
{
	struct iommufd_veventq_ring ring;

	iommufd_veventq_ring_init(&ring, 2);
	expect_push(test, &ring, 0, 0);
	expect_push(test, &ring, 1, 1);
	expect_push_lost(test, &ring, 2);
	read_record(&ring);
	/* Withdrawn while the loss was still behind a record */
	expect_push(test, &ring, 0, 3);
	expect_record(test, &ring, 1);
	read_record(&ring);
	expect_record(test, &ring, 0);
	read_record(&ring);
	expect_empty(test, &ring);

	/* Withdrawn when it was next */
	expect_push(test, &ring, 1, 4);
	expect_push(test, &ring, 0, 5);
	expect_push_lost(test, &ring, 6);
	read_record(&ring);
	read_record(&ring);
	expect_lost(test, &ring, 6);
	expect_push(test, &ring, 1, 7);
	expect_record(test, &ring, 1);
	read_record(&ring);
	expect_empty(test, &ring);
}

/* Events that come in between peek and consume of a loss */
static void ring_lost_raced(struct kunit *test)
{
	struct iommufd_veventq_ring ring;

	iommufd_veventq_ring_init(&ring, 1);
	expect_push(test, &ring, 0, 0);
	expect_push_lost(test, &ring, 1);
	read_record(&ring);
	expect_lost(test, &ring, 1);

	/* One that fits: the header went out for nothing, the record stays */
	expect_push(test, &ring, 0, 2);
	read_lost(&ring, 1);
	expect_record(test, &ring, 0);

	/* And another loss: it must not go with the header of the old one */
	read_record(&ring);
	expect_push(test, &ring, 0, 3);
	expect_push_lost(test, &ring, 4);
	read_record(&ring);
	expect_lost(test, &ring, 4);
	expect_push(test, &ring, 0, 5);
	expect_push_lost(test, &ring, 6);
	read_lost(&ring, 4);
	expect_record(test, &ring, 0);
	read_record(&ring);
	expect_lost(test, &ring, 6);
}

/* Events that the hardware lost: there is room, but nothing to put there */
static void ring_lost_on_the_way(struct kunit *test)
{
	struct iommufd_veventq_ring ring;

	iommufd_veventq_ring_init(&ring, 2);
	iommufd_veventq_ring_lose(&ring);
	expect_lost(test, &ring, 0);
	/* Another one, between peek and consume */
	iommufd_veventq_ring_lose(&ring);
	read_lost(&ring, 0);
	expect_lost(test, &ring, 1);
	read_lost(&ring, 1);
	expect_empty(test, &ring);

	/* Behind a record, which comes first */
	expect_push(test, &ring, 0, 2);
	iommufd_veventq_ring_lose(&ring);
	expect_record(test, &ring, 0);
	read_record(&ring);
	expect_lost(test, &ring, 3);
	/* In front of one, whose number tells */
	expect_push(test, &ring, 1, 4);
	expect_record(test, &ring, 1);
	read_record(&ring);
	expect_empty(test, &ring);

	/* And with the ring full */
	expect_push(test, &ring, 0, 5);
	expect_push(test, &ring, 1, 6);
	expect_push_lost(test, &ring, 7);
	iommufd_veventq_ring_lose(&ring);
	read_record(&ring);
	read_record(&ring);
	expect_lost(test, &ring, 8);
}

static void ring_sequence_wraps(struct kunit *test)
{
	struct iommufd_veventq_ring ring;

	iommufd_veventq_ring_init(&ring, 1);
	ring.sequence = INT_MAX;
	expect_push(test, &ring, 0, INT_MAX);
	read_record(&ring);
	expect_push(test, &ring, 0, 0);

	/* The last event lost is the one with the highest number */
	ring.sequence = INT_MAX - 1;
	expect_push_lost(test, &ring, INT_MAX - 1);
	expect_push_lost(test, &ring, INT_MAX);
	read_record(&ring);
	expect_lost(test, &ring, INT_MAX);
	read_lost(&ring, INT_MAX);
	expect_push(test, &ring, 0, 0);
}

static void ring_depth_max(struct kunit *test)
{
	struct iommufd_veventq_ring ring;
	u32 slot, sequence, i;

	iommufd_veventq_ring_init(&ring, IOMMUFD_VEVENTQ_DEPTH_MAX);
	for (i = 0; i != IOMMUFD_VEVENTQ_DEPTH_MAX; i++)
		if (!iommufd_veventq_ring_push(&ring, &slot, &sequence) ||
		    slot != i)
			break;
	KUNIT_EXPECT_EQ(test, i, IOMMUFD_VEVENTQ_DEPTH_MAX);
	expect_push_lost(test, &ring, IOMMUFD_VEVENTQ_DEPTH_MAX);
	read_record(&ring);
	expect_push(test, &ring, 0, IOMMUFD_VEVENTQ_DEPTH_MAX + 1);
}

static const u32 ring_depths[] = { 1, 2, 3, 7, 64, 100 };

static void ring_depth_desc(const u32 *depth, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "depth %u", *depth);
}

KUNIT_ARRAY_PARAM(ring_depths, ring_depths, ring_depth_desc);

/*
 * A reader that only knows the uAPI accounts for every event: each is delivered
 * or known lost, in order, and none twice. @known is the number of the first
 * event that the reader knows nothing of.
 */
static void ring_accounts_for_all(struct kunit *test)
{
	const u32 depth = *(const u32 *)test->param_value;
	const u32 start = INT_MAX - 500;
	struct iommufd_veventq_ring ring;
	unsigned int i, events = 0, read = 0, lost = 0;
	enum iommufd_veventq_next what;
	struct rnd_state rnd;
	u32 *slots, sequence, known = start, pos;

	slots = kunit_kcalloc(test, depth, sizeof(*slots), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, slots);
	prandom_seed_state(&rnd, 0x766576656e7471);
	iommufd_veventq_ring_init(&ring, depth);
	ring.sequence = start;

	for (i = 0; i != 20000; i++) {
		/* Mostly full for a while, then mostly empty */
		u32 bias = i / 1000 % 2 ? 3 : 5;

		if (prandom_u32_state(&rnd) % 8 < bias) {
			if (iommufd_veventq_ring_push(&ring, &pos, &sequence)) {
				KUNIT_ASSERT_LT(test, pos, depth);
				slots[pos] = sequence;
			}
			events++;
			continue;
		}
		if (!(prandom_u32_state(&rnd) % 32)) {
			iommufd_veventq_ring_lose(&ring);
			events++;
		}

		what = iommufd_veventq_ring_peek(&ring, &pos);
		switch (what) {
		case IOMMUFD_VEVENTQ_RECORD:
			KUNIT_ASSERT_LT(test, pos, depth);
			sequence = slots[pos];
			for (; known != sequence && lost <= events;
			     known = iommufd_vevent_seq_next(known))
				lost++;
			known = iommufd_vevent_seq_next(known);
			read++;
			break;
		case IOMMUFD_VEVENTQ_LOST:
			while (known != iommufd_vevent_seq_next(pos) &&
			       lost <= events) {
				known = iommufd_vevent_seq_next(known);
				lost++;
			}
			break;
		case IOMMUFD_VEVENTQ_EMPTY:
			KUNIT_ASSERT_EQ(test, read + lost, events);
			break;
		}
		iommufd_veventq_ring_consume(&ring, what, pos);
		KUNIT_ASSERT_LE(test, read + lost, events);
	}

	KUNIT_EXPECT_GT(test, read, 0);
	KUNIT_EXPECT_GT(test, lost, 0);
}

static struct kunit_case veventq_ring_cases[] = {
	KUNIT_CASE(ring_sequence),
	KUNIT_CASE(ring_in_order),
	KUNIT_CASE(ring_lost_at_tail),
	KUNIT_CASE(ring_lost_shown_by_gap),
	KUNIT_CASE(ring_lost_raced),
	KUNIT_CASE(ring_lost_on_the_way),
	KUNIT_CASE(ring_sequence_wraps),
	KUNIT_CASE(ring_depth_max),
	KUNIT_CASE_PARAM(ring_accounts_for_all, ring_depths_gen_params),
	{}
};

static struct kunit_suite veventq_ring_suite = {
	.name = "iommufd-veventq-ring",
	.test_cases = veventq_ring_cases,
};

/* What drivers call, on a vIOMMU that was put together here */

#define TEST_TYPE 5
#define TEST_LEN 12
#define TEST_DEPTH 2

struct driver_fixture {
	struct iommufd_viommu viommu;
	struct iommufd_veventq veventq;
	u64 records[4 * TEST_DEPTH];
};

static int viommu_driver_init(struct kunit *test)
{
	struct driver_fixture *f;

	f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	if (!f)
		return -ENOMEM;
	test->priv = f;

	xa_init(&f->viommu.vdevs);
	INIT_LIST_HEAD(&f->viommu.veventqs);
	spin_lock_init(&f->viommu.veventqs_lock);

	f->veventq.type = TEST_TYPE;
	f->veventq.record_len = TEST_LEN;
	f->veventq.stride = 24;
	f->veventq.records = f->records;
	spin_lock_init(&f->veventq.lock);
	init_waitqueue_head(&f->veventq.wait);
	iommufd_veventq_ring_init(&f->veventq.ring, TEST_DEPTH);
	/* What the records do not cover must stay as it is */
	memset(f->records, 0xa5, sizeof(f->records));
	return 0;
}

static void viommu_driver_exit(struct kunit *test)
{
	struct driver_fixture *f = test->priv;

	if (f)
		xa_destroy(&f->viommu.vdevs);
}

static void expect_event(struct kunit *test, struct driver_fixture *f, u32 slot,
			 u32 sequence, const u8 *data)
{
	const u8 *record = (const u8 *)f->records + 24 * slot;
	const struct iommufd_vevent_header header = { .sequence = sequence };
	const u8 untouched[4] = { 0xa5, 0xa5, 0xa5, 0xa5 };

	KUNIT_EXPECT_MEMEQ(test, record, &header, sizeof(header));
	KUNIT_EXPECT_MEMEQ(test, record + 8, data, TEST_LEN);
	KUNIT_EXPECT_MEMEQ(test, record + 20, untouched, sizeof(untouched));
}

static void report_event(struct kunit *test)
{
	struct driver_fixture *f = test->priv;
	u8 data[4][TEST_LEN];
	unsigned int i;

	for (i = 0; i != ARRAY_SIZE(data); i++)
		memset(data[i], 0x10 + i, TEST_LEN);

	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			iommufd_viommu_report_event(&f->viommu, TEST_TYPE,
						    data[0], TEST_LEN));
	list_add_tail_rcu(&f->veventq.node, &f->viommu.veventqs);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			iommufd_viommu_report_event(&f->viommu, TEST_TYPE + 1,
						    data[0], TEST_LEN));

	/* What is refused takes no number */
	KUNIT_EXPECT_EQ(test, -EINVAL,
			iommufd_viommu_report_event(&f->viommu, TEST_TYPE,
						    data[0], TEST_LEN - 1));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			iommufd_viommu_report_event(&f->viommu, TEST_TYPE,
						    data[0], 0));
	KUNIT_EXPECT_EQ(test, f->veventq.ring.sequence, 0);

	for (i = 0; i != TEST_DEPTH; i++)
		KUNIT_EXPECT_EQ(test, 0,
				iommufd_viommu_report_event(&f->viommu,
							    TEST_TYPE, data[i],
							    TEST_LEN));
	expect_event(test, f, 0, 0, data[0]);
	expect_event(test, f, 1, 1, data[1]);

	/* What is lost takes one and no record is overwritten */
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			iommufd_viommu_report_event(&f->viommu, TEST_TYPE,
						    data[2], TEST_LEN));
	expect_event(test, f, 0, 0, data[0]);
	expect_event(test, f, 1, 1, data[1]);

	read_record(&f->veventq.ring);
	KUNIT_EXPECT_EQ(test, 0,
			iommufd_viommu_report_event(&f->viommu, TEST_TYPE,
						    data[3], TEST_LEN));
	expect_event(test, f, 0, 3, data[3]);
	expect_event(test, f, 1, 1, data[1]);
}

static void report_loss(struct kunit *test)
{
	struct driver_fixture *f = test->priv;
	const u8 data[TEST_LEN] = { 0x10 };

	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			iommufd_viommu_report_loss(&f->viommu, TEST_TYPE));
	list_add_tail_rcu(&f->veventq.node, &f->viommu.veventqs);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			iommufd_viommu_report_loss(&f->viommu, TEST_TYPE + 1));
	expect_empty(test, &f->veventq.ring);
	KUNIT_EXPECT_EQ(test, 0, iommufd_viommu_report_loss(&f->viommu, TEST_TYPE));
	expect_lost(test, &f->veventq.ring, 0);

	KUNIT_EXPECT_EQ(test, 0,
			iommufd_viommu_report_event(&f->viommu, TEST_TYPE, data,
						    TEST_LEN));
	expect_event(test, f, 0, 1, data);
}

static struct iommufd_vdevice *find(struct driver_fixture *f, u64 virt_id)
{
	struct iommufd_vdevice *vdev;

	rcu_read_lock();
	vdev = iommufd_viommu_find_vdev(&f->viommu, virt_id);
	rcu_read_unlock();
	return vdev;
}

static void find_vdev(struct kunit *test)
{
	struct driver_fixture *f = test->priv;
	struct device *dev_a, *dev_b, *dev_c;
	struct iommufd_vdevice a, b;
	u64 virt_id = 77;

	/* Only compared */
	dev_a = kunit_kzalloc(test, sizeof(*dev_a), GFP_KERNEL);
	dev_b = kunit_kzalloc(test, sizeof(*dev_b), GFP_KERNEL);
	dev_c = kunit_kzalloc(test, sizeof(*dev_c), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dev_a);
	KUNIT_ASSERT_NOT_NULL(test, dev_b);
	KUNIT_ASSERT_NOT_NULL(test, dev_c);
	a = (struct iommufd_vdevice){ .dev = dev_a, .virt_id = 0 };
	b = (struct iommufd_vdevice){ .dev = dev_b, .virt_id = ULONG_MAX };

	KUNIT_EXPECT_NULL(test, find(f, 0));
	KUNIT_EXPECT_EQ(test, -ENOENT,
			iommufd_viommu_get_virt_id(&f->viommu, dev_a,
						   &virt_id));

	/* A reserved slot is not to be seen */
	KUNIT_ASSERT_EQ(test, 0, xa_insert(&f->viommu.vdevs, 3, XA_ZERO_ENTRY,
					   GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, find(f, 3));
	KUNIT_EXPECT_EQ(test, -ENOENT,
			iommufd_viommu_get_virt_id(&f->viommu, dev_a,
						   &virt_id));

	KUNIT_ASSERT_EQ(test, 0, xa_insert(&f->viommu.vdevs, a.virt_id, &a,
					   GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, 0, xa_insert(&f->viommu.vdevs, b.virt_id, &b,
					   GFP_KERNEL));
	KUNIT_EXPECT_PTR_EQ(test, find(f, 0), &a);
	KUNIT_EXPECT_PTR_EQ(test, find(f, ULONG_MAX), &b);
	KUNIT_EXPECT_NULL(test, find(f, 1));

	KUNIT_EXPECT_EQ(test, 0, iommufd_viommu_get_virt_id(&f->viommu, dev_a,
							    &virt_id));
	KUNIT_EXPECT_EQ(test, virt_id, 0);
	KUNIT_EXPECT_EQ(test, 0, iommufd_viommu_get_virt_id(&f->viommu, dev_b,
							    &virt_id));
	KUNIT_EXPECT_EQ(test, virt_id, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, -ENOENT,
			iommufd_viommu_get_virt_id(&f->viommu, dev_c,
						   &virt_id));
}

static struct kunit_case viommu_driver_cases[] = {
	KUNIT_CASE(report_event),
	KUNIT_CASE(report_loss),
	KUNIT_CASE(find_vdev),
	{}
};

static struct kunit_suite viommu_driver_suite = {
	.name = "iommufd-viommu-driver",
	.init = viommu_driver_init,
	.exit = viommu_driver_exit,
	.test_cases = viommu_driver_cases,
};

kunit_test_suites(&veventq_ring_suite, &viommu_driver_suite);

MODULE_IMPORT_NS(IOMMUFD);
MODULE_DESCRIPTION("KUnit tests for iommufd vIOMMUs");
MODULE_LICENSE("GPL");
