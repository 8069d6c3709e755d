"""Systems that Voucherflow brings along, so that it runs on a bare machine."""
