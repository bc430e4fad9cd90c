# Functions without the layer, CloudFormation's custom resources, take the modules they import along:
# $(call copy-modules,<files below src/cardwatch>) in a rule copies them into its artifact.
MODULES_SRC := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../src/cardwatch)

define copy-modules
	for module in $(1); do \
		mkdir -p "$(ARTIFACTS_DIR)/cardwatch/$$(dirname $$module)" && \
		cp "$(MODULES_SRC)/$$module" "$(ARTIFACTS_DIR)/cardwatch/$$module" || exit 1; done
endef
