// The entry of every page: what all pages have, then the module of this one.
//
// Never holds state of a page itself.

import { wireAccountMenu } from './frame.js';
import { tellSignedIn } from './sign-in-news.js';

wireAccountMenu();
if (document.body.dataset.viewer) tellSignedIn();

switch (document.body.dataset.page) {
  case 'uploads': {
    const { UploadsPage } = await import('./uploads-page.js');
    new UploadsPage().start();
    break;
  }
  case 'upload': {
    const { UploadPage } = await import('./upload-page.js');
    new UploadPage().start();
    break;
  }
  case 'sign-in':
    // A link from the terminal or a mail: the button is for browsers without script.
    /** @type {HTMLFormElement | null} */ (document.querySelector('form[data-sign-in-link]'))?.requestSubmit();
    break;
}
