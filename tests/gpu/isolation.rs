//! Tests that open devices in this process mean the same on every machine too.

use crate::common::hostile::pass_there;

#[test]
fn tests_pass_whatever_the_machine_says() {
    pass_there(&[
        "autotune::what_is_remembered_comes_first_as_long_as_it_counts",
        "device::errors_say_what_to_do",
        "doctor::an_entry_counts_for_its_shader_and_storage_only",
        "doctor::the_storage_that_is_fit_is_taken",
        "memory::adapters_are_reckoned_with",
        "user_shaders::what_is_bound_runs",
    ]);
}
