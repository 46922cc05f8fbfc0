// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU_HWPT_INVALIDATE on a vIOMMU: which entries of an array were executed,
 * and what the caller is told about the one that was not.
 */
#include <pthread.h>

#include "viommu_utils.h"

/* Every mock entry is 12 bytes: a page does not hold a whole number of them */
#define ENTRY_LEN sizeof(struct iommu_viommu_invalidate_selftest)

/* Entries of one call at most */
#define MAX_ENTRIES (1U << 19)

#define CMD_V1_LEN offsetofend(struct iommu_hwpt_invalidate, __reserved)

static const struct iommu_viommu_invalidate_selftest bad_flags = {
	.flags = IOMMU_TEST_INVALIDATE_FLAG_ALL << 1,
	.vdev_id = VI_SID_A,
};

static const struct iommu_viommu_invalidate_selftest bad_vdev = {
	.vdev_id = VI_SID_A + 1,
};

static const struct iommu_viommu_invalidate_selftest bad_cache = {
	.vdev_id = VI_SID_A,
	.cache_id = MOCK_DEV_CACHE_ID_MAX + 1,
};

static const struct iommu_viommu_invalidate_selftest bad_cache_all = {
	.flags = IOMMU_TEST_INVALIDATE_FLAG_ALL,
	.vdev_id = VI_SID_A,
	.cache_id = MOCK_DEV_CACHE_ID_MAX + 1,
};

static const struct {
	const struct iommu_viommu_invalidate_selftest *entry;
	int error;
} bad_entries[] = {
	{ &bad_flags, EOPNOTSUPP },
	{ &bad_vdev, EINVAL },
	{ &bad_cache, EINVAL },
	{ &bad_cache_all, EINVAL },
};

FIXTURE(invalidate)
{
	struct vi_env env;
	struct vi_dev dev_b;
	__u32 viommu_id;
	__u32 vdev_a_id;
	__u32 vdev_b_id;
	struct iommu_hwpt_invalidate cmd;
	struct iommu_viommu_invalidate_selftest inv[8];
};

FIXTURE_SETUP(invalidate)
{
	unsigned int i;

	vi_setup(_metadata, &self->env);
	vi_add_dev(_metadata, &self->env, 0, &self->dev_b);
	VI_SELFTEST_VIOMMU(&self->env, &self->viommu_id);
	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->env.dev.dev_id, VI_SID_A,
				      &self->vdev_a_id));
	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->dev_b.dev_id, VI_SID_B,
				      &self->vdev_b_id));

	/* An entry for each word of A, then for each of B */
	for (i = 0; i != ARRAY_SIZE(self->inv); i++) {
		self->inv[i].vdev_id =
			i < MOCK_DEV_CACHE_NUM ? VI_SID_A : VI_SID_B;
		self->inv[i].cache_id = i % MOCK_DEV_CACHE_NUM;
	}
}

FIXTURE_TEARDOWN(invalidate)
{
	vi_teardown(_metadata, &self->env);
}

/* A bit for each of self->inv[] that was executed */
#define EXPECT_DONE(_mask)                                                \
	({                                                                \
		int _a = vi_cache_mask(self->env.fd,                      \
				       self->env.dev.dev_id);             \
		int _b = vi_cache_mask(self->env.fd, self->dev_b.dev_id); \
									  \
		EXPECT_EQ(_mask, _a | _b << MOCK_DEV_CACHE_NUM);          \
	})

/* The outputs of a call that ended with entry @_num */
#define EXPECT_REPORT(_num, _index)                                \
	({                                                         \
		EXPECT_EQ(_num, self->cmd.entry_num);              \
		EXPECT_EQ(IOMMU_HWPT_INVALIDATE_REPORT_VALID,      \
			  self->cmd.out_report_flags);             \
		EXPECT_EQ(0, self->cmd.out_error_code);            \
		EXPECT_EQ(_index, self->cmd.out_error_index);      \
		EXPECT_EQ(0, self->cmd.__reserved2);               \
	})

static int invalidate(int fd, __u32 id, const void *entries, __u32 num,
		      struct iommu_hwpt_invalidate *cmd)
{
	return vi_invalidate(fd, id, entries, num, cmd);
}

TEST_F(invalidate, one_word)
{
	EXPECT_DONE(0);
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, &self->inv[2], 1,
				&self->cmd));
	EXPECT_REPORT(1, 0);
	EXPECT_DONE(1 << 2);
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, &self->inv[4], 1,
				&self->cmd));
	EXPECT_REPORT(1, 0);
	EXPECT_DONE(1 << 2 | 1 << 4);

	/* Again is no error */
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, &self->inv[4], 1,
				&self->cmd));
	EXPECT_REPORT(1, 0);
	EXPECT_DONE(1 << 2 | 1 << 4);

	EXPECT_ERRNO(EINVAL, vi_check_cache(self->env.fd, self->env.dev.dev_id,
					    MOCK_DEV_CACHE_NUM, 0));
}

TEST_F(invalidate, all_words)
{
	self->inv[1].flags = IOMMU_TEST_INVALIDATE_FLAG_ALL;
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, &self->inv[1], 1,
				&self->cmd));
	EXPECT_REPORT(1, 0);
	EXPECT_DONE(0x0f);
}

TEST_F(invalidate, array)
{
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, self->inv, 8,
				&self->cmd));
	EXPECT_REPORT(8, 0);
	EXPECT_DONE(0xff);
}

/* Entries before the bad one are done and counted, the bad one and the rest not */
TEST_F(invalidate, bad_entry)
{
	unsigned int pos, i;

	for (i = 0; i != ARRAY_SIZE(bad_entries); i++) {
		struct iommu_viommu_invalidate_selftest inv[8];

		/* From the end, so that what is done grows from step to step */
		for (pos = 0; pos != 8; pos++) {
			memcpy(inv, self->inv, sizeof(inv));
			inv[pos] = *bad_entries[i].entry;
			EXPECT_ERRNO(bad_entries[i].error,
				     invalidate(self->env.fd, self->viommu_id,
						inv, 8, &self->cmd));
			EXPECT_REPORT(pos, pos);
			if (!i)
				EXPECT_DONE((1 << pos) - 1);
		}
	}
	/* The last entry was the bad one each time */
	EXPECT_DONE(0x7f);
}

/* A VMM goes on behind the bad entry, as a guest's command queue would */
TEST_F(invalidate, resume_after_error)
{
	self->inv[3] = bad_flags;
	EXPECT_ERRNO(EOPNOTSUPP, invalidate(self->env.fd, self->viommu_id,
					    self->inv, 8, &self->cmd));
	EXPECT_REPORT(3, 3);
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, self->inv + 4, 4,
				&self->cmd));
	EXPECT_REPORT(4, 0);
	EXPECT_DONE(0xf7);
}

/* A zero-length array checks the type and looks at nothing else */
TEST_F(invalidate, probe)
{
	struct iommu_hwpt_invalidate *cmd = &self->cmd;
	int fd = self->env.fd;

	ASSERT_EQ(0, invalidate(fd, self->viommu_id, NULL, 0, cmd));
	EXPECT_REPORT(0, 0);
	cmd->entry_len = 0;
	cmd->out_error_index = VI_POISON;
	ASSERT_EQ(0, ioctl(fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_REPORT(0, 0);
	cmd->entry_len = UINT32_MAX;
	cmd->data_uptr = UINT64_MAX;
	ASSERT_EQ(0, ioctl(fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_REPORT(0, 0);

	cmd->data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID;
	EXPECT_ERRNO(EINVAL, ioctl(fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_EQ(0, cmd->entry_num);
	cmd->data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
	EXPECT_ERRNO(EINVAL, ioctl(fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_EQ(0, cmd->entry_num);
	EXPECT_DONE(0);
}

/* Nothing is executed and nothing counted, whatever was in the output members */
TEST_F(invalidate, bad_call)
{
	struct iommu_hwpt_invalidate *cmd = &self->cmd;
	int fd = self->env.fd;

#define TEST_CALL(_errno, _member, _value)                                  \
	({                                                                  \
		*cmd = (struct iommu_hwpt_invalidate){                      \
			.size = sizeof(*cmd),                               \
			.hwpt_id = self->viommu_id,                         \
			.data_uptr = (uintptr_t)self->inv,                  \
			.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST, \
			.entry_len = ENTRY_LEN,                             \
			.entry_num = 8,                                     \
			.out_report_flags = VI_POISON,                      \
			.out_error_code = VI_POISON,                        \
			.out_error_index = VI_POISON,                       \
		};                                                          \
		cmd->_member = _value;                                      \
		EXPECT_ERRNO(_errno, ioctl(fd, IOMMU_HWPT_INVALIDATE, cmd)); \
		EXPECT_EQ(0, cmd->entry_num);                               \
		EXPECT_EQ(0, cmd->out_report_flags &                        \
			     ~IOMMU_HWPT_INVALIDATE_REPORT_VALID);          \
		EXPECT_EQ(0, cmd->out_error_code);                          \
		EXPECT_EQ(0, cmd->out_error_index);                         \
	})

	TEST_CALL(EINVAL, data_type,
		  IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID);
	TEST_CALL(EINVAL, data_uptr, 0);
	TEST_CALL(EINVAL, entry_len, 0);
	TEST_CALL(EINVAL, entry_len, 1);
	TEST_CALL(EINVAL, entry_len, ENTRY_LEN - 1);
	TEST_CALL(EINVAL, entry_len, ENTRY_LEN + 1);
	TEST_CALL(EINVAL, entry_len, PAGE_SIZE + 1);
	TEST_CALL(EINVAL, entry_len, UINT32_MAX);
	TEST_CALL(EINVAL, entry_num, MAX_ENTRIES + 1);
	TEST_CALL(EINVAL, entry_num, UINT32_MAX);
	/* entry_len * entry_num is a small number in 32 bits */
	TEST_CALL(EINVAL, entry_num, 0x15555557);
	TEST_CALL(EOPNOTSUPP, __reserved, 1);
	TEST_CALL(EOPNOTSUPP, __reserved2, 1);
	TEST_CALL(ENOENT, hwpt_id, VI_NO_ID);
	TEST_CALL(ENOENT, hwpt_id, 0);
	TEST_CALL(ENOENT, hwpt_id, self->env.ioas_id);
	TEST_CALL(ENOENT, hwpt_id, self->env.parent_id);
	TEST_CALL(ENOENT, hwpt_id, self->vdev_a_id);
	TEST_CALL(ENOENT, hwpt_id, self->env.dev.dev_id);
#undef TEST_CALL
	EXPECT_DONE(0);
}

/*
 * The array ends in memory that can't be read, in the middle of an entry or
 * between two: what is before that is executed and counted.
 */
TEST_F(invalidate, fault_in_the_array)
{
	char *edge = vi_map_guarded(_metadata, 1);
	unsigned int readable, left;

	for (readable = 0; readable != 9; readable++) {
		/* Bytes of the first entry that is not wholly readable */
		for (left = 0; left < ENTRY_LEN; left += ENTRY_LEN / 3) {
			char *entries = edge - readable * ENTRY_LEN - left;

			if (readable == 8 && left)
				break;
			memcpy(entries, self->inv, readable * ENTRY_LEN + left);
			EXPECT_ERRNO(EFAULT, invalidate(self->env.fd,
							self->viommu_id,
							entries, 9,
							&self->cmd));
			EXPECT_REPORT(readable, readable);
			EXPECT_DONE((1 << readable) - 1);
		}
	}
}

/* The same with the hole in front and with memory that is there but forbidden */
TEST_F(invalidate, fault_by_protection)
{
	char *edge = vi_map_guarded(_metadata, 2) - PAGE_SIZE;
	char *entries = edge - 5 * ENTRY_LEN;

	memcpy(entries, self->inv, sizeof(self->inv));
	ASSERT_EQ(0, mprotect(edge, PAGE_SIZE, PROT_NONE));
	EXPECT_ERRNO(EFAULT, invalidate(self->env.fd, self->viommu_id, entries,
					8, &self->cmd));
	EXPECT_REPORT(5, 5);
	EXPECT_DONE(0x1f);

	ASSERT_EQ(0, mprotect(edge - PAGE_SIZE, PAGE_SIZE, PROT_NONE));
	ASSERT_EQ(0, mprotect(edge, PAGE_SIZE, PROT_READ));
	EXPECT_ERRNO(EFAULT, invalidate(self->env.fd, self->viommu_id, entries,
					8, &self->cmd));
	EXPECT_REPORT(0, 0);

	/* Read only is enough */
	ASSERT_EQ(0, mprotect(edge - PAGE_SIZE, PAGE_SIZE, PROT_READ));
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, entries, 8,
				&self->cmd));
	EXPECT_REPORT(8, 0);
	EXPECT_DONE(0xff);

	/* An address that is no user's */
	EXPECT_ERRNO(EFAULT, invalidate(self->env.fd, self->viommu_id,
					(void *)(UINTPTR_MAX - 7), 1,
					&self->cmd));
	EXPECT_REPORT(0, 0);
}

/* The outputs can't be written: the caller can't know, so it is EFAULT */
TEST_F(invalidate, fault_in_the_outputs)
{
	struct iommu_hwpt_invalidate *cmd;

	cmd = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, cmd);
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, self->inv, 8,
				cmd));
	ASSERT_EQ(0, mprotect(cmd, PAGE_SIZE, PROT_READ));
	EXPECT_ERRNO(EFAULT, ioctl(self->env.fd, IOMMU_HWPT_INVALIDATE, cmd));
	ASSERT_EQ(0, munmap(cmd, PAGE_SIZE));
}

/* A VMM built with the header of Linux 7.2 passes 32 bytes */
TEST_F(invalidate, without_report)
{
	struct iommu_hwpt_invalidate *cmd = &self->cmd;

	self->inv[6] = bad_vdev;
	*cmd = (struct iommu_hwpt_invalidate){
		.size = CMD_V1_LEN,
		.hwpt_id = self->viommu_id,
		.data_uptr = (uintptr_t)self->inv,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
		.entry_len = ENTRY_LEN,
		.entry_num = 8,
		.out_report_flags = VI_POISON,
		.out_error_code = VI_POISON,
		.out_error_index = VI_POISON,
		.__reserved2 = VI_POISON,
	};
	ASSERT_EQ(32, CMD_V1_LEN);
	EXPECT_ERRNO(EINVAL, ioctl(self->env.fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_EQ(6, cmd->entry_num);
	EXPECT_DONE(0x3f);

	cmd->entry_num = 6;
	ASSERT_EQ(0, ioctl(self->env.fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_EQ(6, cmd->entry_num);

	/* Behind the 32 bytes is the caller's own memory */
	EXPECT_EQ(VI_POISON, cmd->out_report_flags);
	EXPECT_EQ(VI_POISON, cmd->out_error_code);
	EXPECT_EQ(VI_POISON, cmd->out_error_index);
	EXPECT_EQ(VI_POISON, cmd->__reserved2);

	cmd->size = CMD_V1_LEN - 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->env.fd, IOMMU_HWPT_INVALIDATE, cmd));
}

TEST_F(invalidate, part_of_report)
{
	struct iommu_hwpt_invalidate *cmd = &self->cmd;

	self->inv[6] = bad_vdev;
	*cmd = (struct iommu_hwpt_invalidate){
		.size = offsetofend(struct iommu_hwpt_invalidate,
				    out_error_code),
		.hwpt_id = self->viommu_id,
		.data_uptr = (uintptr_t)self->inv,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
		.entry_len = ENTRY_LEN,
		.entry_num = 8,
		.out_error_code = VI_POISON,
		.out_error_index = VI_POISON,
	};
	EXPECT_ERRNO(EINVAL, ioctl(self->env.fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_EQ(6, cmd->entry_num);
	EXPECT_EQ(IOMMU_HWPT_INVALIDATE_REPORT_VALID, cmd->out_report_flags);
	EXPECT_EQ(0, cmd->out_error_code);
	EXPECT_EQ(VI_POISON, cmd->out_error_index);
}

/* The report of a nested HWPT: the entry in error is the first one not done */
TEST_F(invalidate, nested_hwpt)
{
	struct iommu_hwpt_invalidate_selftest inv[2] = {
		{ .iotlb_id = 1 },
		{ .iotlb_id = MOCK_NESTED_DOMAIN_IOTLB_ID_MAX + 1 },
	};
	struct iommu_hwpt_invalidate *cmd = &self->cmd;
	__u32 nested_id;

	ASSERT_EQ(0, vi_nested_alloc(self->env.fd, self->env.dev.dev_id,
				     self->env.parent_id, 0, 0, &nested_id));
	*cmd = (struct iommu_hwpt_invalidate){
		.size = sizeof(*cmd),
		.hwpt_id = nested_id,
		.data_uptr = (uintptr_t)inv,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
		.entry_len = sizeof(inv[0]),
		.entry_num = 2,
		.out_report_flags = VI_POISON,
		.out_error_code = VI_POISON,
		.out_error_index = VI_POISON,
	};
	EXPECT_ERRNO(EINVAL, ioctl(self->env.fd, IOMMU_HWPT_INVALIDATE, cmd));
	EXPECT_REPORT(1, 1);
	EXPECT_DONE(0);
}

/* The virt_id is looked up on the vIOMMU of the call and nowhere else */
TEST_F(invalidate, virt_id_scope)
{
	__u32 viommu2_id;

	VI_SELFTEST_VIOMMU(&self->env, &viommu2_id);
	EXPECT_ERRNO(EINVAL, invalidate(self->env.fd, viommu2_id, self->inv, 1,
					&self->cmd));
	EXPECT_REPORT(0, 0);

	ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, self->vdev_a_id));
	EXPECT_ERRNO(EINVAL, invalidate(self->env.fd, self->viommu_id,
					self->inv, 1, &self->cmd));
	EXPECT_REPORT(0, 0);

	/* The name passes to another device */
	ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, self->vdev_b_id));
	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, viommu2_id,
				      self->dev_b.dev_id, VI_SID_A, NULL));
	ASSERT_EQ(0, invalidate(self->env.fd, viommu2_id, self->inv, 1,
				&self->cmd));
	EXPECT_REPORT(1, 0);
	EXPECT_DONE(1 << 4);
}

/* As many as one call may have, without memory in proportion */
TEST_F_TIMEOUT(invalidate, longest_array, 120)
{
	struct iommu_viommu_invalidate_selftest *inv;
	unsigned int i;

	inv = calloc(MAX_ENTRIES, ENTRY_LEN);
	ASSERT_NE(NULL, inv);
	for (i = 0; i != MAX_ENTRIES; i++)
		inv[i].vdev_id = VI_SID_A;
	ASSERT_EQ(0, invalidate(self->env.fd, self->viommu_id, inv, MAX_ENTRIES,
				&self->cmd));
	EXPECT_REPORT(MAX_ENTRIES, 0);

	inv[MAX_ENTRIES - 1] = bad_vdev;
	EXPECT_ERRNO(EINVAL, invalidate(self->env.fd, self->viommu_id, inv,
					MAX_ENTRIES, &self->cmd));
	EXPECT_REPORT(MAX_ENTRIES - 1, MAX_ENTRIES - 1);
	free(inv);
}

/* Whoever is killed does not finish the array first */
TEST_F_TIMEOUT(invalidate, killed, 120)
{
	struct iommu_viommu_invalidate_selftest *inv;
	unsigned int i;
	int status;
	pid_t pid;

	inv = calloc(MAX_ENTRIES, ENTRY_LEN);
	ASSERT_NE(NULL, inv);
	for (i = 0; i != MAX_ENTRIES; i++)
		inv[i].vdev_id = VI_SID_A;
	inv[MAX_ENTRIES - 1].cache_id = 1;

	pid = fork();
	ASSERT_NE(-1, pid);
	if (!pid) {
		invalidate(self->env.fd, self->viommu_id, inv, MAX_ENTRIES,
			   &self->cmd);
		_exit(0);
	}
	while (vi_check_cache(self->env.fd, self->env.dev.dev_id, 0, 0))
		;
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	/* The first word was invalidated and the array not run to its end */
	EXPECT_DONE(1 << 0);
	free(inv);
}

struct flipper {
	struct iommu_viommu_invalidate_selftest *entry;
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *flipper = arg;
	__u32 *cache_id = &flipper->entry->cache_id;

	__u32 value = 0;
	int i;

	/* It stays a while each time, so that one CPU can leave it at either */
	while (!__atomic_load_n(&flipper->stop, __ATOMIC_RELAXED)) {
		value ^= 0x20000000;
		for (i = 0; i != 16; i++)
			__atomic_store_n(cache_id, value, __ATOMIC_RELAXED);
	}
	return NULL;
}

/*
 * Another thread writes the entry while it is executed: what was checked is what
 * is used. A kernel that reads twice writes gigabytes off its mark here.
 */
TEST_F(invalidate, entry_read_once)
{
	struct iommu_viommu_invalidate_selftest entry = {
		.vdev_id = VI_SID_B,
	};
	struct flipper flipper = { .entry = &entry };
	unsigned int seen[2] = {};
	__u64 end = vi_now_us() + 2000000;
	pthread_t thread;
	int rc;

	ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &flipper));
	while (vi_now_us() < end) {
		rc = invalidate(self->env.fd, self->viommu_id, &entry, 1,
				&self->cmd);
		if (rc) {
			EXPECT_EQ(EINVAL, errno);
			EXPECT_REPORT(0, 0);
		} else {
			EXPECT_REPORT(1, 0);
		}
		seen[!rc]++;
	}
	__atomic_store_n(&flipper.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	/* Both happened, or nothing was tested */
	EXPECT_NE(0, seen[0]);
	EXPECT_NE(0, seen[1]);
	EXPECT_DONE(1 << 4);
}

TEST_HARNESS_MAIN
